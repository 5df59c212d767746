//! Firewall rules in nftables' language, from typed parts.

use std::fmt;
use std::net::IpAddr;

use deployix_core::spec::{IpNet, Protocol};

/// An opening in the firewall of a machine.
///
/// Rules go into `networking.firewall.extraInputRules` of the nftables firewall. There they extend the chain that NixOS
/// consults for new connections before its policy, drop, applies; rules in a table of our own could only drop more, since
/// an accept in one table does not keep another from dropping. The whole ruleset is replaced in one transaction at each
/// switch, so a rule that is no longer generated is gone without any stop command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening {
    /// Who it is for, as people know it.
    pub(crate) comment: String,
    /// Where packets come from.
    pub(crate) from: IpNet,
    /// What is let in.
    pub(crate) what: Traffic,
}

/// What an opening lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// Connections to a port.
    Port(Protocol, u16),
    /// Connections to a port whose packets came through IPsec; the same in clear text stays refused.
    EncryptedPort(Protocol, u16),
    /// The key exchange of IPsec (IKE, also through address translation) and its packets (ESP).
    Ipsec,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // nftables takes a comment to the end of the line; names have no line ends, but the type does not say so.
        writeln!(f, "# {}", self.comment.replace(|c: char| c.is_control(), " "))?;
        let from = source(&self.from);
        match &self.what {
            Traffic::Port(protocol, port) => writeln!(f, "{from}{protocol} dport {port} accept"),
            Traffic::EncryptedPort(protocol, port) => {
                writeln!(f, "meta ipsec exists {from}{protocol} dport {port} accept")
            }
            Traffic::Ipsec => {
                writeln!(f, "{from}udp dport {{ 500, 4500 }} accept")?;
                writeln!(f, "{from}meta l4proto esp accept")
            }
        }
    }
}

/// The match on where packets come from, with a blank after it.
fn source(net: &IpNet) -> String {
    let family = if net.addr().is_ipv4() { "ip" } else { "ip6" };
    let net = net.trunc();
    match net.prefix_len() {
        // nftables refuses a match on everything; the family is what is left of it.
        0 => format!("meta nfproto {} ", if family == "ip" { "ipv4" } else { "ipv6" }),
        length if length == net.max_prefix_len() => format!("{family} saddr {} ", net.addr()),
        _ => format!("{family} saddr {net} "),
    }
}

/// One address as a network.
pub(crate) fn host(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(from: &str, what: Traffic) -> String {
        Opening { comment: "a".into(), from: from.parse().expect("a network"), what }.to_string()
    }

    #[test]
    fn an_opening_names_source_protocol_and_port() {
        for (from, what, rule) in [
            ("10.0.0.5/32", Traffic::Port(Protocol::Tcp, 5432), "ip saddr 10.0.0.5 tcp dport 5432 accept"),
            ("10.0.0.9/8", Traffic::Port(Protocol::Udp, 53), "ip saddr 10.0.0.0/8 udp dport 53 accept"),
            ("::/0", Traffic::Port(Protocol::Tcp, 443), "meta nfproto ipv6 tcp dport 443 accept"),
            ("0.0.0.0/0", Traffic::Port(Protocol::Tcp, 443), "meta nfproto ipv4 tcp dport 443 accept"),
            (
                "2001:db8::1/128",
                Traffic::EncryptedPort(Protocol::Tcp, 80),
                "meta ipsec exists ip6 saddr 2001:db8::1 tcp dport 80 accept",
            ),
        ] {
            assert_eq!(printed(from, what), format!("# a\n{rule}\n"));
        }
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        let opening = Opening {
            comment: "a\ntcp dport 22 accept".into(),
            from: "10.0.0.1/32".parse().expect("a network"),
            what: Traffic::Ipsec,
        };
        assert_eq!(
            opening.to_string(),
            "# a tcp dport 22 accept\n\
             ip saddr 10.0.0.1 udp dport { 500, 4500 } accept\n\
             ip saddr 10.0.0.1 meta l4proto esp accept\n"
        );
    }
}
