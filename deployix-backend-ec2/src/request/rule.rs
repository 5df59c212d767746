//! Requests for security groups and their rules, one rule a request.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::{GroupId, PublicCidr, TagSpecification, Value, VpcId};

/// Makes a security group, which starts without ingress and with all egress open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateSecurityGroup {
    /// Its name, unique in the network, at most 255 characters, not starting with `sg-`.
    pub group_name: String,
    /// What it is for, at most 255 characters.
    pub description: String,
    /// Its network.
    pub vpc_id: Value<VpcId>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Takes a rule for outgoing traffic away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RevokeSecurityGroupEgress {
    /// The group.
    pub group_id: Value<GroupId>,
    /// The rule.
    pub ip_permissions: Vec<IpPermission>,
}

/// Allows incoming traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AuthorizeSecurityGroupIngress {
    /// The group.
    pub group_id: Value<GroupId>,
    /// The rule.
    pub ip_permissions: Vec<IpPermission>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// Allows outgoing traffic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AuthorizeSecurityGroupEgress {
    /// The group.
    pub group_id: Value<GroupId>,
    /// The rule.
    pub ip_permissions: Vec<IpPermission>,
    /// Its tags.
    pub tag_specifications: Vec<TagSpecification>,
}

/// A protocol, as rules name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IpProtocol {
    /// TCP.
    #[serde(rename = "tcp")]
    Tcp,
    /// UDP.
    #[serde(rename = "udp")]
    Udp,
    /// IPsec's encapsulating security payload, protocol 50 (RFC 4303).
    #[serde(rename = "50")]
    Esp,
    /// Every protocol.
    #[serde(rename = "-1")]
    All,
    /// Any other, such as ICMP, in a rule that somebody made by hand; no request has it.
    #[serde(skip)]
    Other,
}

impl IpProtocol {
    /// As the API takes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Esp => "50",
            Self::All => "-1",
            Self::Other => "another protocol",
        }
    }
}

/// What a rule allows, and with whom.
///
/// One of the three lists holds one entry, the others none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IpPermission {
    /// The protocol.
    pub ip_protocol: IpProtocol,
    /// The first port, for TCP and UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_port: Option<u16>,
    /// The last port, for TCP and UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_port: Option<u16>,
    /// Members of a group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_id_group_pairs: Vec<UserIdGroupPair>,
    /// A range of addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_ranges: Vec<IpRange>,
    /// A range of IPv6 addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6_ranges: Vec<Ipv6Range>,
}

/// The members of a security group, as one side of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct UserIdGroupPair {
    /// The group.
    pub group_id: Value<GroupId>,
    /// What the rule is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A range of addresses, as one side of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct IpRange {
    /// The addresses.
    pub cidr_ip: Value<PublicCidr>,
    /// What the rule is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A range of IPv6 addresses, as one side of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Ipv6Range {
    /// The addresses.
    pub cidr_ipv6: Ipv6Net,
    /// What the rule is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// The members of a group.
    Group(Value<GroupId>),
    /// A range of addresses, or an elastic address.
    Addresses(Value<PublicCidr>),
    /// A range of IPv6 addresses.
    Addresses6(Ipv6Net),
}

impl Peer {
    /// Every IPv4 address there is.
    #[must_use]
    pub fn anyone() -> Self {
        Self::Addresses(Value::Known(PublicCidr(Ipv4Net::default())))
    }
}

impl From<IpNet> for Peer {
    fn from(range: IpNet) -> Self {
        match range {
            IpNet::V4(range) => Self::Addresses(Value::Known(PublicCidr(range.trunc()))),
            IpNet::V6(range) => Self::Addresses6(range.trunc()),
        }
    }
}

impl IpPermission {
    /// One protocol and port with one peer; a protocol without ports takes `None`.
    #[must_use]
    pub fn new(protocol: IpProtocol, port: Option<u16>, peer: Peer, description: &str) -> Self {
        let description = Some(describe(description)).filter(|text| !text.is_empty());
        let mut permission = Self {
            ip_protocol: protocol,
            from_port: port,
            to_port: port,
            user_id_group_pairs: Vec::new(),
            ip_ranges: Vec::new(),
            ipv6_ranges: Vec::new(),
        };
        match peer {
            Peer::Group(group_id) => {
                permission.user_id_group_pairs.push(UserIdGroupPair { group_id, description });
            }
            Peer::Addresses(cidr_ip) => permission.ip_ranges.push(IpRange { cidr_ip, description }),
            Peer::Addresses6(cidr_ipv6) => {
                permission.ipv6_ranges.push(Ipv6Range { cidr_ipv6, description });
            }
        }
        permission
    }

    /// The rule for outgoing traffic that a new security group has (Amazon VPC User Guide,
    /// "Security group rules").
    #[must_use]
    pub fn default_egress() -> Self {
        Self::new(IpProtocol::All, None, Peer::anyone(), "")
    }
}

/// Fits a text into a description: at most 255 characters, each of `a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*`
/// (Amazon EC2 API Reference, `CreateSecurityGroup`).
pub(crate) fn describe(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ". _-:/()#,@[]+=&;{}!$*".contains(c);
    text.chars().take(255).map(|c| if allowed(c) { c } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_exactly_one_peer() {
        let group = Peer::Group(GroupId::new("sg-0123abcd").unwrap().into());
        for (peer, counts) in [
            (group, (1, 0, 0)),
            (Peer::anyone(), (0, 1, 0)),
            (Peer::from("2001:db8::/32".parse::<IpNet>().unwrap()), (0, 0, 1)),
        ] {
            let rule = IpPermission::new(IpProtocol::Tcp, Some(80), peer, "web");
            let found =
                (rule.user_id_group_pairs.len(), rule.ip_ranges.len(), rule.ipv6_ranges.len());
            assert_eq!(found, counts);
        }
    }

    #[test]
    fn a_range_is_cut_to_its_network_address_as_aws_wants_it() {
        let peer = Peer::from("10.1.2.3/8".parse::<IpNet>().unwrap());
        assert_eq!(peer, Peer::from("10.0.0.0/8".parse::<IpNet>().unwrap()));
    }

    #[test]
    fn descriptions_hold_only_what_aws_allows() {
        assert_eq!(describe("a > \"b\" é\n"), "a - -b- --");
        assert_eq!(describe(&"x".repeat(300)).len(), 255);
    }
}
