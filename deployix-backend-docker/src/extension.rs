//! What a spec can say to this backend alone, below `extensions.docker`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use deployix_core::{
    Name,
    spec::{Extension, ExtensionSite, IfUnsupported},
};
use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The settings of a functionality: `[functionality.NAME.extensions.docker]`.
///
/// Elsewhere than on Docker they mean nothing, and are remarked on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DockerFunctionality {
    /// Endpoints published on the host: `{ http = 8080 }` on its loopback, or
    /// `{ http = "0.0.0.0:8080" }` for everybody who reaches the host.
    pub publish: BTreeMap<Name, Published>,
    /// Who runs a ready image's program: a name or number that the image knows, or `image` for the
    /// image's own user. It runs as 900:900 unless said otherwise.
    pub user: Option<String>,
    /// `false` lets it write to its root file system.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Kernel capabilities that it keeps, such as `CHOWN`; all others are dropped.
    pub capabilities: BTreeSet<String>,
    /// `false` leaves out the small init process, for images that bring their own.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// Whether an old version stops before the new one starts; by itself only where both cannot
    /// run at once.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub roll_out: Option<RollOut>,
}

/// How a new version takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RollOut {
    /// The old one goes once the new one is ready, even where both have one state.
    Overlap,
    /// The old one stops first.
    Gap,
}

impl Extension for DockerFunctionality {
    const NAMESPACE: &'static str = "docker";
    const SITE: ExtensionSite = ExtensionSite::Functionality;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}

/// The settings of a load balancer: `[load-balancer.NAME.extensions.docker]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DockerLoadBalancer {
    /// Where on the host it is published, in place of its source port; by itself on the host's
    /// loopback, or on all its addresses where `open-to` names somebody. One with several listeners
    /// has none: each is published at its own source port.
    pub publish: Option<Published>,
}

impl Extension for DockerLoadBalancer {
    const NAMESPACE: &'static str = "docker";
    const SITE: ExtensionSite = ExtensionSite::LoadBalancer;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}

/// The settings of a target: `[target.NAME.extensions.docker]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DockerTarget {
    /// What images are made from that are not ready ones: a Debian, or something that has its
    /// package manager.
    pub base_image: String,
    /// The range that networks take their addresses from; no other deployment on the engine and
    /// nothing that the host reaches may use it.
    pub subnets: Ipv4Net,
    /// `false` leaves out the packet filter of each functionality. Then a network of two still
    /// lets either open connections to any port of the other, and a published port cannot be kept
    /// from anybody by address.
    pub firewall: bool,
}

impl Default for DockerTarget {
    fn default() -> Self {
        Self {
            base_image: "debian:bookworm-slim".to_owned(),
            subnets: Ipv4Net::new_assert(Ipv4Addr::new(10, 213, 0, 0), 16),
            firewall: true,
        }
    }
}

impl Extension for DockerTarget {
    const NAMESPACE: &'static str = "docker";
    const SITE: ExtensionSite = ExtensionSite::Target;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}

/// Reads a value that is there as `Some`, so that `null` is told as an error and not as absence.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Where on the host an endpoint is published: written as a port, which is one of its loopback, or
/// as `ADDRESS:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The host's address.
    pub address: IpAddr,
    /// The host's port; never 0.
    pub port: u16,
}

impl Published {
    /// A port of the host's loopback.
    #[must_use]
    pub fn on_loopback(port: u16) -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), port }
    }
}

impl FromStr for Published {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let published = match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
            (Ok(port), _) => Self::on_loopback(port),
            (_, Ok(socket)) => Self { address: socket.ip(), port: socket.port() },
            _ => return Err("a port such as 8080, or ADDRESS:PORT such as \"0.0.0.0:8080\""),
        };
        if published.port == 0 { Err("a port from 1 to 65535") } else { Ok(published) }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            write!(f, "{}", self.port)
        } else {
            write!(f, "{}", SocketAddr::new(self.address, self.port))
        }
    }
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Published;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port such as 8080, or \"ADDRESS:PORT\"")
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Published, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_i64<E: de::Error>(self, port: i64) -> Result<Published, E> {
                self.visit_str(&port.to_string())
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Published, E> {
                text.parse()
                    .map_err(|expected| E::invalid_value(de::Unexpected::Str(text), &expected))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bare_port_is_published_on_loopback_alone() {
        let settings: DockerFunctionality =
            serde_json::from_value(json!({ "publish": { "http": 8080, "dns": "0.0.0.0:53" } }))
                .unwrap();
        let printed: Vec<String> =
            settings.publish.values().map(|p| format!("{} {}", p.address, p.port)).collect();
        assert_eq!(printed, ["0.0.0.0 53", "127.0.0.1 8080"]);
        for bad in [json!(0), json!(70_000), json!("x"), json!(-1), json!("1.2.3.4:0")] {
            let settings = json!({ "publish": { "http": bad } });
            assert!(serde_json::from_value::<DockerFunctionality>(settings).is_err());
        }
    }

    #[test]
    fn settings_survive_being_written_and_read() {
        let settings = DockerFunctionality {
            publish: [(Name::new("http").unwrap(), Published::on_loopback(80))].into(),
            read_only: Some(false),
            ..DockerFunctionality::default()
        };
        let value = serde_json::to_value(&settings).unwrap();
        assert_eq!(serde_json::from_value::<DockerFunctionality>(value).unwrap(), settings);
        let target = serde_json::to_value(DockerTarget::default()).unwrap();
        assert_eq!(
            serde_json::from_value::<DockerTarget>(target).unwrap(),
            DockerTarget::default()
        );
    }
}
