//! Identifiers that AWS gives, each a type of its own, so that none stands where another belongs.

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Deserializer, Serialize};

use super::Output;

/// Tells that a text is no identifier of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}, such as \"{example}\"")]
pub struct IdError {
    text: String,
    what: &'static str,
    example: &'static str,
}

macro_rules! ids {
    ($($(#[$meta:meta])* $type:ident = $output:literal, $what:literal, $prefix:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// Parses the text.
            ///
            /// # Errors
            /// Refuses what has not the form of such an identifier.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let rest = text.strip_prefix($prefix);
                if rest.is_some_and(|rest| is_hexadecimal(rest)) {
                    return Ok(Self(text.to_owned()));
                }
                Err(IdError {
                    text: text.chars().take(80).collect(),
                    what: $what,
                    example: concat!($prefix, "0123456789abcdef0"),
                })
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl Output for $type {
            const NAME: &'static str = $output;
        }
    )*};
}

/// An identifier ends in 8 hexadecimal digits, or in 17 since 2016 (Amazon EC2 User Guide,
/// "Resource IDs").
fn is_hexadecimal(text: &str) -> bool {
    matches!(text.len(), 8 | 17)
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

ids! {
    /// A virtual private cloud's id.
    VpcId = "VpcId", "a VPC's id", "vpc-";
    /// A subnet's id.
    SubnetId = "SubnetId", "a subnet's id", "subnet-";
    /// An internet gateway's id.
    InternetGatewayId = "InternetGatewayId", "an internet gateway's id", "igw-";
    /// A route table's id.
    RouteTableId = "RouteTableId", "a route table's id", "rtb-";
    /// A security group's id.
    GroupId = "GroupId", "a security group's id", "sg-";
    /// A network interface's id.
    InterfaceId = "NetworkInterfaceId", "a network interface's id", "eni-";
    /// An elastic address's id.
    AddressId = "AllocationId", "an elastic address's id", "eipalloc-";
    /// A volume's id.
    VolumeId = "VolumeId", "a volume's id", "vol-";
    /// An instance's id.
    InstanceId = "InstanceId", "an instance's id", "i-";
}

/// A machine image: its id, or the public parameter that names the newest one.
///
/// Launch templates resolve `resolve:ssm:NAME` when an instance starts (Amazon EC2 User Guide,
/// "Use a Systems Manager parameter instead of an AMI ID").
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ImageId(String);

impl ImageId {
    const PARAMETER: &'static str = "resolve:ssm:";

    /// Parses the text.
    ///
    /// # Errors
    /// Refuses what is neither an image's id nor a parameter.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let id = text.strip_prefix("ami-").is_some_and(is_hexadecimal);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-:".contains(&byte);
        let parameter = text.strip_prefix(Self::PARAMETER).is_some_and(|name| {
            !name.is_empty() && name.len() <= 1011 && name.bytes().all(allowed)
        });
        if id || parameter {
            return Ok(Self(text.to_owned()));
        }
        Err(IdError {
            text: text.chars().take(80).collect(),
            what: "a machine image's id or parameter",
            example: "ami-0123456789abcdef0\" or \
                      \"resolve:ssm:/aws/service/debian/release/12/latest/amd64",
        })
    }

    /// Whether it is a parameter, which whoever starts a machine has to be allowed to read.
    #[must_use]
    pub fn is_parameter(&self) -> bool {
        self.0.starts_with(Self::PARAMETER)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

macro_rules! texts {
    ($($(#[$meta:meta])* $type:ident($inner:ty) = $output:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(pub $inner);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Output for $type {
            const NAME: &'static str = $output;
        }
    )*};
}

texts! {
    /// A machine's or load balancer's address inside its network.
    PrivateIp(Ipv4Addr) = "PrivateIpAddress";
    /// An elastic address.
    PublicIp(Ipv4Addr) = "PublicIp";
    /// An elastic address as a range of one address, which is what a rule takes. No AWS operation
    /// has it as an output; this backend derives it from `PublicIp`.
    PublicCidr(Ipv4Net) = "PublicCidr";
    /// An availability zone's name, such as `ap-southeast-1a`.
    ZoneName(String) = "AvailabilityZone";
    /// A load balancer's Amazon resource name.
    LoadBalancerArn(String) = "LoadBalancerArn";
    /// A target group's Amazon resource name.
    TargetGroupArn(String) = "TargetGroupArn";
    /// A load balancer's own name.
    BalancerDnsName(String) = "DNSName";
    /// The hosted zone that a load balancer's own name is in, which is AWS's.
    BalancerZoneId(String) = "CanonicalHostedZoneId";
    /// An object's key. An output of [`StageUserData`](super::StageUserData).
    ObjectKey(String) = "Key";
    /// User data, rendered and in base64. An output of [`RenderUserData`](super::RenderUserData).
    UserDataText(String) = "UserData";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_their_prefix_and_8_or_17_digits() {
        for good in ["vpc-0123abcd", "vpc-0123456789abcdef0"] {
            assert_eq!(VpcId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "vpc-", "vpc-0123ABCD", "subnet-0123abcd", "vpc-0123abcd\n", "vpc-0123456"]
        {
            assert!(VpcId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_image_is_an_id_or_a_parameter() {
        for good in ["ami-0123456789abcdef0", "resolve:ssm:/a/b:3"] {
            assert!(ImageId::new(good).is_ok(), "{good}");
        }
        for bad in ["debian-12", "resolve:ssm:", "resolve:ssm:a b", "ami-"] {
            assert!(ImageId::new(bad).is_err(), "{bad}");
        }
    }
}
