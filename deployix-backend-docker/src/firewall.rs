//! The packet filter of a functionality's network namespace, as nftables rules.
//!
//! A Docker network lets each of its containers open connections to any port of the others. To
//! keep an edge one-way and to the provider's endpoints alone, the container that holds the
//! namespace loads these rules, drops its privileges and sleeps; the program's containers
//! join the namespace without the capability to change them.

use std::{
    fmt::{self, Write as _},
    net::Ipv4Addr,
};

use deployix_core::spec::{Endpoint, Protocol};
use ipnet::Ipv4Net;

/// A port of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Socket {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
}

impl From<&Endpoint> for Socket {
    fn from(endpoint: &Endpoint) -> Self {
        Self { protocol: endpoint.protocol, port: endpoint.port.get() }
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dport {}", self.protocol, self.port)
    }
}

/// What may pass; nothing else does, but for answers and the namespace's own loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Firewall {
    /// Connections that may come in.
    pub(crate) accept: Vec<Accept>,
    /// Connections that may go out.
    pub(crate) allow: Vec<Allow>,
}

/// Connections that may come in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accept {
    /// From where.
    pub(crate) from: Ipv4Net,
    /// Through which network: its addresses.
    pub(crate) through: Ipv4Net,
    /// To which port.
    pub(crate) socket: Socket,
}

/// Connections that may go out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Allow {
    /// To a port at some addresses.
    To(Ipv4Net, Socket),
    /// To a port anywhere but in the deployment's own networks, for a machine whose address is
    /// not known yet.
    Beyond(Ipv4Net, Socket),
    /// Anywhere but to the deployment's own networks.
    Outside(Ipv4Net),
}

impl Firewall {
    /// The rules as `nft -f` reads them. Loading them again replaces them.
    pub(crate) fn print(&self) -> String {
        let mut out = String::from(
            "table inet deployix\n\
             delete table inet deployix\n\
             table inet deployix {\n\
             \x20 chain input {\n\
             \x20   type filter hook input priority filter; policy drop;\n\
             \x20   iif lo accept\n\
             \x20   ct state established,related accept\n",
        );
        for Accept { from, through, socket } in &self.accept {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "    ip saddr {from} ip daddr {through} {socket} accept");
        }
        out.push_str(
            "\x20 }\n\
             \x20 chain output {\n\
             \x20   type filter hook output priority filter; policy drop;\n\
             \x20   oif lo accept\n\
             \x20   ct state established,related accept\n",
        );
        for allow in &self.allow {
            let _ = match allow {
                Allow::To(to, socket) => writeln!(out, "    ip daddr {to} {socket} accept"),
                Allow::Beyond(own, socket) => {
                    writeln!(out, "    ip daddr != {own} {socket} accept")
                }
                Allow::Outside(own) => writeln!(out, "    ip daddr != {own} accept"),
            };
        }
        out.push_str("  }\n}\n");
        out
    }
}

/// A network of one address.
pub(crate) fn host(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_passes() {
        let socket = Socket { protocol: Protocol::Tcp, port: 5432 };
        let block: Ipv4Net = "10.213.0.8/29".parse().unwrap();
        let firewall = Firewall {
            accept: vec![Accept { from: block, through: block, socket }],
            allow: vec![Allow::Outside("10.213.0.0/16".parse().unwrap())],
        };
        let printed = firewall.print();
        assert_eq!(printed.matches("policy drop").count(), 2);
        let rule = "ip saddr 10.213.0.8/29 ip daddr 10.213.0.8/29 tcp dport 5432 accept\n";
        assert!(printed.contains(rule), "{printed}");
        assert!(printed.contains("ip daddr != 10.213.0.0/16 accept\n"), "{printed}");
    }
}
