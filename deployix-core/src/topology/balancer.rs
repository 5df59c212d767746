//! Load balancers as functionalities: each becomes a node between an fqdn's consumers and its
//! provider, and runs HAProxy where the backend has no load balancer of its own.

use std::{fmt::Write, net::IpAddr, sync::Arc};

use crate::{
    name::{Fqdn, Name, NameError},
    spec::{
        FunctionalitySpec, Listener, Listeners, LoadBalancer, Lowered, Service, ServiceSpec,
        SpecError, Template,
    },
};

/// The name of the endpoint that a load balancer listens on; each of several ends in its port.
const ENDPOINT: &str = "balanced";

/// What it calls those that it passes connections to; likewise.
const SERVERS: &str = "servers";

/// The name under which a load balancer stands among the functionalities.
pub(crate) fn node_name(balancer: &Name) -> Result<Name, NameError> {
    Name::new(format!("load-balancer-{balancer}"))
}

/// A load balancer's own name, of that under which it stands among the functionalities.
pub(crate) fn own_name(node: &Name) -> Option<Name> {
    Name::new(node.as_str().strip_prefix("load-balancer-")?).ok()
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
        listeners: balancer.listeners.clone(),
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
    /// Where it listens, and where the servers do.
    pub(crate) listeners: Listeners,
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
        let mut service = ServiceSpec::builder(["haproxy", "-db", "-f", &config])
            .nix(["haproxy"])
            .debian(["haproxy"])
            .file(&config, &Template::literal(self.config()).to_string());
        for listener in self.listeners.iter() {
            service =
                service.endpoint(&self.called(ENDPOINT, listener), listener.source_port.get());
        }
        // It listens on all of its ports or on none.
        if let Some(first) = self.listeners.iter().next() {
            service = service.ready_over_tcp(&self.called(ENDPOINT, first));
        }
        Ok(Arc::new(service.build()?.into()))
    }
}

impl HaProxy {
    /// A name of one listener's own, where there are several.
    fn called(&self, what: &str, listener: Listener) -> String {
        match self.listeners.iter().len() {
            1 => what.to_owned(),
            _ => format!("{what}-{}", listener.source_port),
        }
    }

    /// The configuration (HAProxy 2.4 and newer, Configuration Manual, sections 3, 4 and 5.3).
    ///
    /// Everything put into it is a number, an address or a host name, none of which needs escaping
    /// there. `init-addr … none` lets it start before its servers exist.
    fn config(&self) -> String {
        let mut config = "defaults\n\
             \x20   mode tcp\n\
             \x20   timeout connect 5s\n\
             \x20   timeout client 1h\n\
             \x20   timeout server 1h\n\
             \x20   option redispatch\n"
            .to_owned();
        for listener in self.listeners.iter() {
            self.listen(listener, &mut config);
        }
        if let Servers::Named(_) = self.servers {
            config.push_str("\nresolvers system\n    parse-resolv-conf\n    hold valid 2s\n");
        }
        config
    }

    /// One port, and the servers behind it.
    fn listen(&self, listener: Listener, config: &mut String) {
        let Listener { source_port, target_port } = listener;
        let (frontend, backend) = (self.called(ENDPOINT, listener), self.called(SERVERS, listener));
        // Writing to a string cannot fail.
        let _ = write!(
            config,
            "\n\
             frontend {frontend}\n\
             \x20   bind :{source_port}\n\
             \x20   default_backend {backend}\n\
             \n\
             backend {backend}\n\
             \x20   balance roundrobin\n"
        );
        let _ = match &self.servers {
            Servers::Named(name) => writeln!(
                config,
                "    server-template server- 32 {name}:{target_port} check inter 2s \
                 resolvers system init-addr libc,none"
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
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    fn make(ports: &[(u16, u16)], servers: Servers) -> HaProxy {
        let port = |port| NonZeroU16::new(port).unwrap();
        let listeners = ports.iter().map(|&(from, to)| Listener::new(port(from), port(to)));
        HaProxy {
            name: Name::new("lb").unwrap(),
            servers,
            listeners: Listeners::new(listeners).unwrap(),
        }
    }

    #[test]
    fn servers_are_named_or_listed() {
        let fqdn = Fqdn::new("web.lb.internal").unwrap();
        let named = make(&[(443, 3000)], Servers::Named(fqdn)).config();
        assert!(named.contains("server-template server- 32 web.lb.internal:3000"), "{named}");
        let addresses = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let listed = make(&[(443, 3000)], Servers::At(addresses)).config();
        assert!(listed.contains("server server-1 10.0.0.1:3000 "), "{listed}");
        assert!(listed.contains("server server-2 ipv6@fd00::1:3000 "), "{listed}");
    }

    #[test]
    fn each_of_several_listeners_has_servers_and_an_endpoint_of_its_own() {
        let fqdn = Fqdn::new("web.lb.internal").unwrap();
        let proxy = make(&[(443, 3000), (80, 8080)], Servers::Named(fqdn));
        let config = proxy.config();
        for lines in [
            "frontend balanced-80\n    bind :80\n    default_backend servers-80\n",
            "backend servers-80\n    balance roundrobin\n    server-template server- 32 \
             web.lb.internal:8080 ",
            "frontend balanced-443\n    bind :443\n    default_backend servers-443\n",
        ] {
            assert!(config.contains(lines), "{config}");
        }
        assert_eq!(config.matches("resolvers system\n").count(), 1, "{config}");
        let lowered = proxy.lower().unwrap();
        let (_, service) = lowered.members().next().unwrap();
        let ports: Vec<_> = service.endpoints.iter().map(|(_, it)| it.port.get()).collect();
        assert_eq!(ports, [443, 80], "in the order of their names");
    }
}
