//! Load balancers as functionalities: each becomes a node between an fqdn's consumers and its
//! provider, and runs HAProxy where the backend has no load balancer of its own.

use std::{fmt::Write, net::IpAddr, num::NonZeroU16, sync::Arc};

use crate::{
    name::{Fqdn, Name, NameError},
    spec::{FunctionalitySpec, LoadBalancer, Lowered, Service, ServiceSpec, SpecError, Template},
};

/// The name of the endpoint that a load balancer listens on.
const ENDPOINT: &str = "balanced";

/// The name under which a load balancer stands among the functionalities.
pub(crate) fn node_name(balancer: &Name) -> Result<Name, NameError> {
    Name::new(format!("load-balancer-{balancer}"))
}

/// A load balancer as a functionality.
///
/// Its upstream goes by a name of its own below `internal` (reserved for private use by ICANN in
/// 2024): the balanced fqdn now means the load balancer itself.
pub(crate) fn functionality(
    name: &Name,
    balancer: &LoadBalancer,
    provider: &Name,
) -> Result<FunctionalitySpec<HaProxy>, NameError> {
    let upstream = Fqdn::new(format!("{provider}.{name}.internal"))?;
    let service = HaProxy {
        name: name.clone(),
        servers: Servers::Named(upstream.clone()),
        source_port: balancer.source_port,
        target_port: balancer.target_port,
    };
    let mut spec = FunctionalitySpec::new(name.as_str(), service)?;
    spec.fqdn = Some(balancer.balances.clone());
    spec.upstream_hosts = vec![upstream];
    spec.extensions = balancer.extensions.clone();
    Ok(spec)
}

/// A recipe: HAProxy, passing TCP connections on to every server behind a name.
#[derive(Debug, Clone)]
pub(crate) struct HaProxy {
    /// The load balancer's name among the functionalities.
    pub(crate) name: Name,
    /// Whom it passes connections to.
    pub(crate) servers: Servers,
    /// Where it listens.
    pub(crate) source_port: NonZeroU16,
    /// Where the servers listen.
    pub(crate) target_port: NonZeroU16,
}

/// How [`HaProxy`] finds its servers.
#[derive(Debug, Clone)]
pub(crate) enum Servers {
    /// By a name that the machine's name server knows, looked up again and again, so that they
    /// may come and go.
    Named(Fqdn),
    /// At addresses that do not change.
    At(Vec<IpAddr>),
}

impl Service for HaProxy {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        // Several load balancers may share a machine.
        let config = format!("/etc/{}/haproxy.cfg", self.name);
        let service = ServiceSpec::builder(["haproxy", "-db", "-f", &config])
            .nix(["haproxy"])
            .debian(["haproxy"])
            .file(&config, &Template::literal(self.config()).to_string())
            .endpoint(ENDPOINT, self.source_port.get())
            .ready_over_tcp(ENDPOINT)
            .build()?;
        Ok(Arc::new(service.into()))
    }
}

impl HaProxy {
    /// The configuration (HAProxy 2.4 and newer, Configuration Manual, sections 3, 4 and 5.3).
    ///
    /// Everything put into it is a number, an address or a host name, none of which needs escaping
    /// there. `init-addr … none` lets it start before its servers exist.
    fn config(&self) -> String {
        let Self { name: _, servers, source_port, target_port } = self;
        let mut config = format!(
            "defaults\n\
             \x20   mode tcp\n\
             \x20   timeout connect 5s\n\
             \x20   timeout client 1h\n\
             \x20   timeout server 1h\n\
             \x20   option redispatch\n\
             \n\
             frontend {ENDPOINT}\n\
             \x20   bind :{source_port}\n\
             \x20   default_backend servers\n\
             \n\
             backend servers\n\
             \x20   balance roundrobin\n"
        );
        // Writing to a string cannot fail.
        let _ = match servers {
            Servers::Named(name) => write!(
                config,
                "\x20   server-template server- 32 {name}:{target_port} check inter 2s \
                 resolvers system init-addr libc,none\n\
                 \n\
                 resolvers system\n\
                 \x20   parse-resolv-conf\n\
                 \x20   hold valid 2s\n"
            ),
            Servers::At(addresses) => {
                (1..).zip(addresses).try_for_each(|(number, address)| match address {
                    IpAddr::V4(v4) => writeln!(
                        config,
                        "    server server-{number} {v4}:{target_port} check inter 2s"
                    ),
                    // The prefix keeps the address's own colons from being read as a port's.
                    IpAddr::V6(v6) => writeln!(
                        config,
                        "    server server-{number} ipv6@{v6}:{target_port} check inter 2s"
                    ),
                })
            }
        };
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_or_listed() {
        let port = |port| NonZeroU16::new(port).unwrap();
        let make = |servers| HaProxy {
            name: Name::new("lb").unwrap(),
            servers,
            source_port: port(443),
            target_port: port(3000),
        };
        let named = make(Servers::Named(Fqdn::new("web.lb.internal").unwrap())).config();
        assert!(named.contains("server-template server- 32 web.lb.internal:3000"), "{named}");
        let addresses = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let listed = make(Servers::At(addresses)).config();
        assert!(listed.contains("server server-1 10.0.0.1:3000 "), "{listed}");
        assert!(listed.contains("server server-2 ipv6@fd00::1:3000 "), "{listed}");
    }
}
