//! Compose text: a typed tree of the Compose specification's parts that are used here.
//!
//! Compose fills in `$NAME` and `${NAME}` from the caller's environment in every value; a `$$` is
//! a dollar sign. Every text of the tree is escaped by one function, so what stands in the tree is what the
//! container gets, whatever the environment holds. Keys are not filled in and stay as they are.
//!
//! A map prints in the order of its keys, a service in the order of its fields, and what is empty
//! or unset is left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::EmitError;
use crate::yaml::Yaml;

/// A whole Compose project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compose {
    /// What the file says about itself, a line each.
    pub comment: Vec<String>,
    /// The project's name: lower-case letters, digits, hyphens and underscores.
    pub name: String,
    /// The services.
    pub services: BTreeMap<String, Service>,
    /// The networks.
    pub networks: BTreeMap<String, Network>,
    /// The named volumes.
    pub volumes: BTreeMap<String, Volume>,
    /// The secrets, each with the file it is read from, relative to the Compose file.
    pub secrets: BTreeMap<String, String>,
}

/// One service: one container, here.
///
/// As data of its own it carries what its container is made from and leaves out what is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Service {
    /// The image, or what the built image is called.
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<String>,
    /// The folder with the Dockerfile to build it from, relative to the Compose file.
    #[serde(skip_serializing_if = "is_default")]
    pub build: Option<String>,
    /// What the container runs, in place of the image's entry point and command.
    #[serde(skip_serializing_if = "is_default")]
    pub entrypoint: Vec<String>,
    /// The entry point's arguments, in place of the image's.
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
    /// Variables.
    #[serde(skip_serializing_if = "is_default")]
    pub environment: BTreeMap<String, String>,
    /// Who runs it, in place of the image's user.
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<String>,
    /// Whether a small init process reaps what the program leaves behind.
    #[serde(skip_serializing_if = "is_default")]
    pub init: bool,
    /// Whether the root file system is read-only.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// Folders kept in memory, with options: `/run:mode=0755`.
    #[serde(skip_serializing_if = "is_default")]
    pub tmpfs: Vec<String>,
    /// Named volumes.
    #[serde(skip_serializing_if = "is_default")]
    pub volumes: Vec<Mount>,
    /// Secrets, each mounted as a file below `/run/secrets` that is called like it.
    #[serde(skip_serializing_if = "is_default")]
    pub secrets: Vec<String>,
    /// Capabilities taken away.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_drop: Vec<String>,
    /// Capabilities given.
    #[serde(skip_serializing_if = "is_default")]
    pub cap_add: Vec<String>,
    /// Security options.
    #[serde(skip_serializing_if = "is_default")]
    pub security_opt: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    /// The service whose network namespace it shares, in place of networks of its own.
    #[serde(skip_serializing_if = "is_default")]
    pub shares_network_of: Option<String>,
    /// Networks it joins; none at all means no network but loopback.
    #[serde(skip_serializing_if = "is_default")]
    pub networks: BTreeMap<String, Attachment>,
    /// Names resolved to fixed addresses, in order; a name may have several.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: Vec<(String, String)>,
    /// Ports published on the host.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<Port>,
    /// How the engine learns that it works.
    #[serde(skip_serializing_if = "is_default")]
    pub healthcheck: Option<Healthcheck>,
    /// What must have happened before it starts.
    #[serde(skip_serializing_if = "is_default")]
    pub depends_on: BTreeMap<String, Condition>,
    /// When it is started again.
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Option<Restart>,
    /// The signal that asks it to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: Option<String>,
    /// Milliseconds it gets to end.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_grace_period: Option<u64>,
    /// Processors it may use, in thousandths.
    #[serde(skip_serializing_if = "is_default")]
    pub cpu_millis: Option<u64>,
    /// Bytes of memory it may use.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_limit: Option<u64>,
    /// Labels.
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
}

/// A named volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The folder of the host that it is, an absolute path that exists; one that the engine makes
    /// unless given. A new and empty one gets what the image has at its place, either way.
    pub folder: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A named volume in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mount {
    /// The volume.
    pub volume: String,
    /// Where it appears, an absolute path.
    pub target: String,
}

/// A service's place in a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Attachment {
    /// Names under which the network's other members find it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub aliases: BTreeSet<String>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Port {
    /// The host's address it is published on.
    pub host_address: String,
    /// The host's port.
    pub published: u16,
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Healthcheck {
    /// The command, run without a shell; exit status 0 means healthy.
    pub command: Vec<String>,
    /// Milliseconds between two tries.
    pub interval: u64,
    /// Milliseconds after which a try has failed.
    pub timeout: u64,
    /// Failures in a row after which the service is unhealthy.
    pub retries: u32,
    /// Milliseconds at the start in which failures do not count.
    pub start_period: u64,
}

/// What one service waits for in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// It runs.
    Started,
    /// Its health check has passed.
    Healthy,
    /// It has ended with exit status 0.
    Completed,
}

/// When the engine starts a container again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never: it runs once.
    Never,
    /// Whenever it ends or the engine starts, unless somebody stopped it.
    UnlessStopped,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Whether nothing outside it can be reached from it.
    pub internal: bool,
    /// Its range in CIDR notation; the engine chooses one unless given.
    pub subnet: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Compose {
    /// Prints the file.
    ///
    /// # Errors
    /// A value that no container can be given: see [`EmitError`].
    pub fn print(&self) -> Result<String, EmitError> {
        for names in [
            self.services.keys().collect::<Vec<_>>(),
            self.networks.keys().collect(),
            self.volumes.keys().collect(),
            self.secrets.keys().collect(),
        ] {
            names.into_iter().try_for_each(|name| check_name(name))?;
        }
        let mut root = Fields::default();
        root.text("name", Some(&self.name));
        root.map("services", &self.services, Service::tree);
        root.map("networks", &self.networks, Network::tree);
        root.map("volumes", &self.volumes, Volume::tree);
        root.map("secrets", &self.secrets, |file| {
            let mut fields = Fields::default();
            fields.text("file", Some(file));
            fields.end()
        });
        let mut tree = root.end();
        escape(&mut tree, "compose")?;
        let mut out = String::new();
        for line in &self.comment {
            out.push_str(format!("# {}", line.replace(['\r', '\n'], " ")).trim_end());
            out.push('\n');
        }
        out.push_str(&tree.print());
        Ok(out)
    }
}

impl Service {
    /// The service as Compose's own shape has it, its texts as they are.
    #[must_use]
    pub fn tree(&self) -> Yaml {
        let mut fields = Fields::default();
        fields.text("image", self.image.as_deref());
        fields.text("build", self.build.as_deref());
        fields.texts("entrypoint", &self.entrypoint);
        fields.texts("command", &self.command);
        fields.texts_by_name("environment", &self.environment);
        fields.text("user", self.user.as_deref());
        fields.flag("init", self.init);
        fields.flag("read_only", self.read_only);
        fields.texts("tmpfs", &self.tmpfs);
        fields.list("volumes", &self.volumes, |mount| {
            let mut fields = Fields::default();
            fields.text("type", Some("volume"));
            fields.text("source", Some(&mount.volume));
            fields.text("target", Some(&mount.target));
            fields.end()
        });
        fields.texts("secrets", &self.secrets);
        fields.texts("cap_drop", &self.cap_drop);
        fields.texts("cap_add", &self.cap_add);
        fields.texts("security_opt", &self.security_opt);
        fields.texts_by_name("sysctls", &self.sysctls);
        match &self.shares_network_of {
            Some(other) => fields.text("network_mode", Some(&format!("service:{other}"))),
            None if self.networks.is_empty() => fields.text("network_mode", Some("none")),
            None => fields.map("networks", &self.networks, |attachment| {
                let mut fields = Fields::default();
                let aliases: Vec<String> = attachment.aliases.iter().cloned().collect();
                fields.texts("aliases", &aliases);
                fields.end()
            }),
        }
        fields.list("extra_hosts", &self.extra_hosts, |(host, address)| {
            Yaml::Text(format!("{host}:{address}"))
        });
        fields.list("ports", &self.ports, |port| {
            let mut fields = Fields::default();
            fields.text("host_ip", Some(&port.host_address));
            fields.text("published", Some(&port.published.to_string()));
            fields.put("target", Yaml::Number(port.target.into()));
            fields.text("protocol", Some(&port.protocol));
            fields.end()
        });
        if let Some(check) = &self.healthcheck {
            fields.put("healthcheck", check.tree());
        }
        fields.map("depends_on", &self.depends_on, |condition| {
            let condition = match condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::Completed => "service_completed_successfully",
            };
            Yaml::Map(vec![("condition".into(), Yaml::Text(condition.into()))])
        });
        fields.text(
            "restart",
            self.restart.map(|restart| match restart {
                Restart::Never => "no",
                Restart::UnlessStopped => "unless-stopped",
            }),
        );
        fields.text("stop_signal", self.stop_signal.as_deref());
        fields.duration("stop_grace_period", self.stop_grace_period);
        if let Some(millis) = self.cpu_millis {
            let cpus = format!("{}.{:03}", millis / 1000, millis % 1000);
            fields.text("cpus", Some(&cpus));
        }
        if let Some(bytes) = self.mem_limit {
            fields.text("mem_limit", Some(&format!("{bytes}b")));
        }
        fields.texts_by_name("labels", &self.labels);
        fields.end()
    }
}

impl Healthcheck {
    fn tree(&self) -> Yaml {
        let mut fields = Fields::default();
        let test: Vec<String> =
            std::iter::once("CMD".to_owned()).chain(self.command.iter().cloned()).collect();
        fields.texts("test", &test);
        fields.duration("interval", Some(self.interval));
        fields.duration("timeout", Some(self.timeout));
        fields.put("retries", Yaml::Number(self.retries.into()));
        fields.duration("start_period", Some(self.start_period));
        fields.end()
    }
}

impl Volume {
    /// The volume as Compose's own shape has it, its texts as they are.
    #[must_use]
    pub fn tree(&self) -> Yaml {
        let mut fields = Fields::default();
        if let Some(folder) = &self.folder {
            // What mount(8) takes for a bind mount (Docker's documentation, "docker volume create").
            let options = [("device", folder.as_str()), ("o", "bind"), ("type", "none")];
            let options =
                options.into_iter().map(|(key, value)| (key.into(), Yaml::Text(value.into())));
            fields.text("driver", Some("local"));
            fields.put("driver_opts", Yaml::Map(options.collect()));
        }
        fields.texts_by_name("labels", &self.labels);
        fields.end()
    }
}

impl Network {
    /// The network as Compose's own shape has it, its texts as they are.
    #[must_use]
    pub fn tree(&self) -> Yaml {
        let mut fields = Fields::default();
        fields.flag("internal", self.internal);
        fields.texts_by_name("driver_opts", &self.options);
        if let Some(subnet) = &self.subnet {
            let range = Yaml::Map(vec![("subnet".into(), Yaml::Text(subnet.clone()))]);
            fields.put("ipam", Yaml::Map(vec![("config".into(), Yaml::List(vec![range]))]));
        }
        fields.texts_by_name("labels", &self.labels);
        fields.end()
    }
}

/// Whether a field says nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Doubles every dollar sign of a value, and refuses what no container can be given.
fn escape(tree: &mut Yaml, place: &str) -> Result<(), EmitError> {
    let nul = |place: &str| EmitError::Nul { place: place.to_owned() };
    match tree {
        Yaml::Text(text) if text.contains('\0') => return Err(nul(place)),
        Yaml::Text(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Yaml::Text(_) | Yaml::Bool(_) | Yaml::Number(_) => {}
        Yaml::List(items) => items.iter_mut().try_for_each(|item| escape(item, place))?,
        Yaml::Map(entries) => {
            for (key, value) in entries {
                if key.contains('\0') {
                    return Err(nul(place));
                }
                escape(value, &format!("{place}.{key}"))?;
            }
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), EmitError> {
    let valid =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if valid { Ok(()) } else { Err(EmitError::ComposeName { name: name.to_owned() }) }
}

/// A mapping while it is filled, leaving out what is empty.
#[derive(Default)]
struct Fields(Vec<(String, Yaml)>);

impl Fields {
    fn put(&mut self, key: &str, value: Yaml) {
        self.0.push((key.to_owned(), value));
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.put(key, Yaml::Text(value.to_owned()));
        }
    }

    fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, Yaml::Bool(true));
        }
    }

    fn duration(&mut self, key: &str, millis: Option<u64>) {
        if let Some(millis) = millis {
            let text = if millis.is_multiple_of(1000) {
                format!("{}s", millis / 1000)
            } else {
                format!("{millis}ms")
            };
            self.put(key, Yaml::Text(text));
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], tree: impl Fn(&T) -> Yaml) {
        if !items.is_empty() {
            self.put(key, Yaml::List(items.iter().map(tree).collect()));
        }
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        self.list(key, values, |value| Yaml::Text(value.clone()));
    }

    fn map<T>(&mut self, key: &str, values: &BTreeMap<String, T>, tree: impl Fn(&T) -> Yaml) {
        if !values.is_empty() {
            let entries = values.iter().map(|(name, value)| (name.clone(), tree(value)));
            self.put(key, Yaml::Map(entries.collect()));
        }
    }

    fn texts_by_name(&mut self, key: &str, values: &BTreeMap<String, String>) {
        self.map(key, values, |value| Yaml::Text(value.clone()));
    }

    fn end(self) -> Yaml {
        Yaml::Map(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dollar_sign_is_never_filled_in() {
        let service = Service { command: vec!["$HOME".into()], ..Service::default() };
        let compose = Compose {
            name: "p".into(),
            services: [("web".to_owned(), service)].into(),
            ..Compose::default()
        };
        let printed = compose.print().unwrap();
        assert!(printed.contains("command: [\"$$HOME\"]"), "{printed}");
    }

    #[test]
    fn what_no_container_can_be_given_is_refused_with_its_place() {
        let service = Service {
            environment: [("KEY".to_owned(), "a\0b".to_owned())].into(),
            ..Service::default()
        };
        let mut compose = Compose {
            name: "p".into(),
            services: [("web".to_owned(), service)].into(),
            ..Compose::default()
        };
        let nul = EmitError::Nul { place: "compose.services.web.environment.KEY".into() };
        assert_eq!(compose.print(), Err(nul));
        compose.services = [("a b".to_owned(), Service::default())].into();
        assert_eq!(compose.print(), Err(EmitError::ComposeName { name: "a b".into() }));
    }
}
