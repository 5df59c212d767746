//! The settings that this backend owns, one type per place where they can stand.
//!
//! All are written below `extensions.ec2`.

use std::{collections::BTreeMap, num::NonZeroU16};

use deployix_core::{
    Fqdn,
    spec::{Bytes, Extension, ExtensionDecl, ExtensionSite, IfUnsupported, Span},
};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{
    request::{HostedZoneId, ImageId, SubnetId, VpcId},
    staging::Staging,
};

/// Where a location is on AWS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LocationSettings {
    /// The region, such as `ap-southeast-1`; that of whoever deploys where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The zones to use, such as `ap-southeast-1a`; one that AWS chooses where nothing is said.
    pub zones: Vec<String>,
    /// The zone of Route 53 that its fqdns become records of; in the machines' files of hosts, where
    /// nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosted_zone: Option<HostedZone>,
    /// A place in S3, such as `s3://bucket/prefix`, whose bucket is in the region. What does not fit
    /// into a machine's user data is put there, and the machine fetches it at its first boot, so its
    /// `instance-profile` must allow `s3:GetObject` there; another place replaces such machines.
    /// Whoever deploys needs `s3:ListBucket` on the bucket, and `s3:PutObject`, `s3:PutObjectTagging`,
    /// `s3:GetObjectTagging` and `s3:DeleteObject` below the prefix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub staging: Option<Staging>,
}

/// A zone of Route 53 that exists. A private one has to be associated with the location's networks
/// already, so those are networks that exist as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostedZone {
    /// Its id, such as `Z0123456789ABCDEFGHIJ`.
    pub id: HostedZoneId,
    /// Its name, such as `example.com`: fqdns at or below it become records.
    pub name: Fqdn,
    /// How long others may remember a record: up to a day; a minute where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
}

impl HostedZone {
    /// Whether an fqdn is in it.
    pub(crate) fn holds(&self, fqdn: &Fqdn) -> bool {
        let before = fqdn.as_str().strip_suffix(self.name.as_str());
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// How long others may remember a record, in seconds.
    ///
    /// # Errors
    /// Says what is wrong about it.
    pub(crate) fn seconds(&self) -> Result<u32, String> {
        const MINUTE: u64 = 60;
        const DAY: u64 = 86_400;
        let seconds = self.ttl.map_or(MINUTE, Span::as_seconds);
        u32::try_from(seconds).ok().filter(|_| (1..=DAY).contains(&seconds)).ok_or_else(|| {
            format!("`ttl` of hosted zone {} is {seconds} s, and not 1 s to a day", self.name)
        })
    }
}

/// How a private network is made, or which one is taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NetworkSettings {
    /// Its addresses, a block between /16 and /28; `10.0.0.0/16` where nothing is said. They stay as they
    /// are once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cidr: Option<Ipv4Net>,
    /// The blocks of its subnets, one for each of the location's zones, in their order: between /16
    /// and /28, within `cidr`. Where nothing is said it is divided into sixteen of one size. Machines
    /// move to another block that is none of the subnets' yet.
    pub subnet_cidrs: Vec<Ipv4Net>,
    /// A network that exists, to take instead of making one; then `subnets` has to be there too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<VpcId>,
    /// Its subnets, one for each of the location's zones, in their order.
    pub subnets: Vec<SubnetId>,
}

/// What the machines of a target are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TargetSettings {
    /// The size of the machines, such as `m3.medium`; where nothing is said as what runs there wishes,
    /// else `t3.small`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The image they boot: `ami-…`, or `resolve:ssm:…`; where nothing is said Debian 12, or 13 where
    /// `guest` is `docker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
    /// The key pair of whoever may log in; nobody where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<String>,
    /// The instance profile whose role their programs have; none where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// Whether they have public addresses, without which they reach no package mirror unless the
    /// network has another way out; they have where nothing is said. A public address opens no port.
    pub public_address: bool,
    /// The device that the image has its root file system on, which is not `/dev/sdf`, that of the
    /// disk for state; `/dev/xvda` where nothing is said.
    pub root_device: String,
    /// The size of the root disk; that of the image where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_disk: Option<Bytes>,
    /// The size of the disk that the `state` of services is kept on; 20 GiB where nothing is said.
    pub state_disk: Bytes,
    /// The type of both disks: `gp3`, `gp2` or `standard`, which has up to 1024 GiB; `gp3` where
    /// nothing is said.
    pub disk_type: String,
    /// More tags for the machines.
    pub tags: BTreeMap<String, String>,
}

impl Default for TargetSettings {
    fn default() -> Self {
        Self {
            instance_type: None,
            image: None,
            key_name: None,
            instance_profile: None,
            public_address: true,
            root_device: "/dev/xvda".to_owned(),
            root_disk: None,
            state_disk: Bytes(20 << 30),
            disk_type: "gp3".to_owned(),
            tags: BTreeMap::new(),
        }
    }
}

/// What a functionality wishes of the machine it runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FunctionalitySettings {
    /// The size of the machine, where its target does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The ports under which it reaches the external hosts among its upstreams. Security groups
    /// know addresses and no names, so these ports are open to every address; `[443]` where nothing
    /// is said.
    pub external_ports: Vec<u16>,
}

impl Default for FunctionalitySettings {
    fn default() -> Self {
        Self { instance_type: None, external_ports: vec![443] }
    }
}

/// How a load balancer checks the machines behind it, and how they leave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LoadBalancerSettings {
    /// The port at which machines are checked, whichever listener they are for: one that it passes
    /// connections to; of each listener its own where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_port: Option<NonZeroU16>,
    /// A path to ask for over HTTP, on the port at which machines are checked, instead of only
    /// opening a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_path: Option<String>,
    /// How often to check: 5 to 300 seconds; 10 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_interval: Option<Span>,
    /// How long a check may take: 2 to 120 seconds, and no longer than the interval; as AWS chooses
    /// where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_timeout: Option<Span>,
    /// How many good checks in a row make a machine healthy: 2 to 10; 2 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold: Option<u32>,
    /// How many bad checks in a row make it ill: 2 to 10; 2 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold: Option<u32>,
    /// How long a machine that leaves may end what it is at: up to an hour; 300 seconds where nothing
    /// is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deregistration_delay: Option<Span>,
}

macro_rules! extensions {
    ($($type:ident: $site:ident, $otherwise:ident;)*) => {
        $(impl Extension for $type {
            const NAMESPACE: &'static str = crate::ID;
            const SITE: ExtensionSite = ExtensionSite::$site;
            const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::$otherwise;
        })*

        /// All of them.
        pub(crate) fn declarations() -> Vec<ExtensionDecl> {
            vec![$(ExtensionDecl::of::<$type>()),*]
        }
    };
}

// A location, a network and a wish mean nothing to other backends and take nothing away there.
extensions! {
    LocationSettings: Location, Note;
    NetworkSettings: Network, Note;
    TargetSettings: Target, Refuse;
    FunctionalitySettings: Functionality, Note;
    LoadBalancerSettings: LoadBalancer, Note;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_holds_its_own_name_and_those_below() {
        let zone = HostedZone {
            id: HostedZoneId::new("Z1").unwrap(),
            name: Fqdn::new("example.com").unwrap(),
            ttl: None,
        };
        let holds = |fqdn: &str| zone.holds(&Fqdn::new(fqdn).unwrap());
        assert!(holds("example.com") && holds("a.b.example.com"));
        assert!(!holds("badexample.com") && !holds("example.com.sg") && !holds("com"));
    }

    #[test]
    fn a_zone_is_read_as_it_is_written() {
        let read = |json| serde_json::from_value::<LocationSettings>(json);
        let zone = serde_json::json!({ "id": "Z1", "name": "Example.com", "ttl": "5min" });
        let zone = read(serde_json::json!({ "hosted-zone": zone })).unwrap().hosted_zone.unwrap();
        assert_eq!((zone.name.as_str(), zone.seconds()), ("example.com", Ok(300)));
        for bad in [
            serde_json::json!({ "id": "/hostedzone/Z1", "name": "example.com" }),
            serde_json::json!({ "id": "Z1" }),
            serde_json::json!({ "id": "Z1", "name": "example.com", "tll": "60s" }),
        ] {
            assert!(read(serde_json::json!({ "hosted-zone": bad })).is_err());
        }
    }

    #[test]
    fn a_record_is_remembered_for_a_second_to_a_day() {
        let zone = |ttl| HostedZone {
            id: HostedZoneId::new("Z1").unwrap(),
            name: Fqdn::new("example.com").unwrap(),
            ttl,
        };
        assert_eq!(zone(None).seconds(), Ok(60));
        assert_eq!(zone(Some(Span::seconds(86_400))).seconds(), Ok(86_400));
        for bad in [0, 86_401, u64::MAX / 1000] {
            assert!(zone(Some(Span::seconds(bad))).seconds().is_err(), "{bad}");
        }
    }
}
