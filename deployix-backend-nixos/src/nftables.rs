//! Firewall rules in nftables' language, from typed parts.

use deployix_core::spec::{IpNet, Protocol};

use crate::syntax::{Expr, Part};

/// An opening in the firewall of a machine.
///
/// Rules go into `networking.firewall.extraInputRules` of the nftables firewall. There they extend
/// the chain that NixOS consults for new connections before its policy, drop, applies; rules in a
/// table of our own could only drop more, since an accept in one table does not keep another from
/// dropping. The whole ruleset is replaced in one transaction at each switch, so a rule that is no
/// longer generated is gone without any stop command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening {
    /// Who it is for, as people know it.
    pub(crate) comment: String,
    /// Where packets come from.
    pub(crate) from: Source,
    /// What is let in.
    pub(crate) what: Traffic,
}

/// Where packets come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A network, or one address.
    Net(IpNet),
    /// The IPv4 address that a Nix variable holds.
    Variable(String),
    /// Anywhere; where something in front of the machine decides.
    Anywhere,
}

/// What an opening lets in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// Connections to a port.
    Port(Protocol, u16),
    /// Connections to a port whose packets came through IPsec; the same in clear text stays
    /// refused.
    EncryptedPort(Protocol, u16),
    /// The key exchange of IPsec (IKE, also through address translation) and its packets (ESP).
    Ipsec,
}

impl Opening {
    /// Its lines, comment first.
    pub(crate) fn rules(&self) -> Vec<Part> {
        // nftables reads a comment to the end of the line; names have no line ends, but the type
        // does not say so.
        let comment = self.comment.replace(|c: char| c.is_control(), " ");
        let mut rules: Vec<Part> = vec![format!("# {comment}\n").into()];
        let mut rule = |before: &str, matches: String| {
            rules.push(before.into());
            rules.extend(self.from.matching());
            rules.push(format!("{matches} accept\n").into());
        };
        match &self.what {
            Traffic::Port(protocol, port) => rule("", format!("{protocol} dport {port}")),
            Traffic::EncryptedPort(protocol, port) => {
                rule("meta ipsec exists ", format!("{protocol} dport {port}"));
            }
            Traffic::Ipsec => {
                rule("", "udp dport { 500, 4500 }".to_owned());
                rule("", "meta l4proto esp".to_owned());
            }
        }
        rules
    }
}

impl Source {
    /// The match on packets from it, with a blank after it.
    fn matching(&self) -> Vec<Part> {
        self.compared("saddr")
    }

    /// The match of an address field with it, with a blank after it.
    fn compared(&self, field: &str) -> Vec<Part> {
        let net = match self {
            Self::Variable(name) => {
                return vec![format!("ip {field} ").into(), Expr::var(name).into(), " ".into()];
            }
            Self::Anywhere => return Vec::new(),
            Self::Net(net) => net.trunc(),
        };
        let family = if net.addr().is_ipv4() { "ip" } else { "ip6" };
        let text = match net.prefix_len() {
            // nftables refuses a match on everything; the family is what is left of it.
            0 if net.addr().is_ipv4() => "meta nfproto ipv4 ".to_owned(),
            0 => "meta nfproto ipv6 ".to_owned(),
            length if length == net.max_prefix_len() => format!("{family} {field} {} ", net.addr()),
            _ => format!("{family} {field} {net} "),
        };
        vec![text.into()]
    }
}

/// The content of a table that lets nothing out to these machines in clear text.
///
/// Here a table of our own is right: it only drops. Packets pass it twice, before and after they
/// are encrypted.
pub(crate) fn only_encrypted<'a>(machines: impl IntoIterator<Item = &'a Source>) -> Vec<Part> {
    let mut content: Vec<Part> = vec![
        "chain output {\n  type filter hook output priority filter; policy accept;\n".into(),
        "  meta l4proto esp accept\n  udp sport { 500, 4500 } accept\n".into(),
    ];
    for machine in machines {
        content.push("  ".into());
        content.extend(machine.compared("daddr"));
        content.push("rt ipsec missing drop\n".into());
    }
    content.push("}\n".into());
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(from: &str, what: Traffic) -> String {
        text(&Opening {
            comment: "a".into(),
            from: Source::Net(from.parse().expect("a network")),
            what,
        })
    }

    fn text(opening: &Opening) -> String {
        let texts = opening.rules().into_iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Value(_) => unreachable!("only networks were given"),
        });
        texts.collect()
    }

    #[test]
    fn an_opening_names_source_protocol_and_port() {
        for (from, what, rule) in [
            (
                "10.0.0.5/32",
                Traffic::Port(Protocol::Tcp, 5432),
                "ip saddr 10.0.0.5 tcp dport 5432 accept",
            ),
            (
                "10.0.0.9/8",
                Traffic::Port(Protocol::Udp, 53),
                "ip saddr 10.0.0.0/8 udp dport 53 accept",
            ),
            ("::/0", Traffic::Port(Protocol::Tcp, 443), "meta nfproto ipv6 tcp dport 443 accept"),
            (
                "0.0.0.0/0",
                Traffic::Port(Protocol::Tcp, 443),
                "meta nfproto ipv4 tcp dport 443 accept",
            ),
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
            from: Source::Net("10.0.0.1/32".parse().expect("a network")),
            what: Traffic::Ipsec,
        };
        assert_eq!(
            text(&opening),
            "# a tcp dport 22 accept\n\
             ip saddr 10.0.0.1 udp dport { 500, 4500 } accept\n\
             ip saddr 10.0.0.1 meta l4proto esp accept\n"
        );
    }
}
