//! What a backend is given: one functionality where it was placed, with its connections.

use std::{collections::BTreeSet, fmt, net::IpAddr, num::NonZeroU32};

use serde::{Deserialize, Serialize};

use crate::{
    name::{Fqdn, Name, SecretName},
    spec::{
        CertificateAuthority, Endpoint, Extensions, LoadBalancer, Location, Lowered, Network,
        Target,
    },
};

/// One functionality or load balancer where it was placed, with its connections.
///
/// Everything in it has been validated: upstreams resolve, endpoints exist, extensions are of their
/// declared types, `${upstream:…}` and `${endpoint:…}` are filled in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Unit<'a> {
    /// The deployment's name.
    pub deployment: &'a Name,
    /// The functionality's name, unique within the deployment.
    pub name: &'a Name,
    /// The host name under which others reach it.
    pub fqdn: Option<&'a Fqdn>,
    /// What runs, as this backend is to see it.
    pub service: &'a Lowered,
    /// How many of it run.
    pub replicas: NonZeroU32,
    /// What this backend owns of it (and maybe others).
    pub extensions: &'a Extensions,
    /// What it balances, where it is a load balancer; then `service` is a program that does it,
    /// for backends without load balancers of their own.
    pub balancer: Option<&'a LoadBalancer>,
    /// Where it was placed.
    pub site: Site<'a>,
    /// Which machines of the target it runs on, from 0, in order; none for a load balancer that
    /// its backend does not run as a program.
    pub machines: &'a [u32],
    /// Whom it reaches.
    pub upstreams: Vec<Peer<'a>>,
    /// Who reaches it.
    pub consumers: Vec<Peer<'a>>,
    /// Hosts outside the deployment that it reaches.
    pub externals: &'a [Fqdn],
}

impl Unit<'_> {
    /// Where its service listens, of all members.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointRef> {
        endpoints_of(self.service)
    }

    /// Every secret that it reads.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&SecretName> {
        self.service
            .members()
            .flat_map(|(_, service)| service.templates())
            .flat_map(|(_, template)| template.secrets())
            .collect()
    }
}

/// Where a service listens, of all members, in order.
pub(crate) fn endpoints_of(service: &Lowered) -> impl Iterator<Item = EndpointRef> {
    service.members().flat_map(|(member, service)| {
        service.endpoints.iter().map(move |(name, endpoint)| EndpointRef {
            member: member.cloned(),
            name: name.clone(),
            endpoint: endpoint.clone(),
        })
    })
}

/// A target with the network and the location it is in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Site<'a> {
    /// The target.
    pub target: &'a Target,
    /// Its network, with its name.
    pub network: Option<(&'a Name, &'a Network)>,
    /// Its location, with its name.
    pub location: Option<(&'a Name, &'a Location)>,
}

/// A [`Site`] that owns what it is made of: to be kept beyond the deployment it was read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnedSite {
    /// The target.
    pub target: Target,
    /// Its network, with its name.
    pub network: Option<(Name, Network)>,
    /// Its location, with its name.
    pub location: Option<(Name, Location)>,
}

impl OwnedSite {
    /// The same, borrowed.
    #[must_use]
    pub fn site(&self) -> Site<'_> {
        Site {
            target: &self.target,
            network: self.network.as_ref().map(|(name, network)| (name, network)),
            location: self.location.as_ref().map(|(name, location)| (name, location)),
        }
    }
}

impl From<Site<'_>> for OwnedSite {
    fn from(site: Site<'_>) -> Self {
        Self {
            target: site.target.clone(),
            network: site.network.map(|(name, network)| (name.clone(), network.clone())),
            location: site.location.map(|(name, location)| (name.clone(), location.clone())),
        }
    }
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Peer<'a> {
    /// The functionality or load balancer there.
    pub name: &'a Name,
    /// The fqdn that the consumer uses, whichever end this is.
    pub fqdn: &'a Fqdn,
    /// What the connection runs over.
    pub via: Via,
    /// The provider's endpoints, all of which the connection opens, whichever end this is.
    pub endpoints: &'a [EndpointRef],
    /// Where it was placed.
    pub site: Site<'a>,
    /// Which machines of that target it runs on.
    pub machines: &'a [u32],
    /// Whether the two need each other, directly or by way of others; then neither can wait for
    /// the other to be ready.
    pub mutual: bool,
}

impl Peer<'_> {
    /// The addresses in the private network under which it is reached, machine by machine; that of
    /// a load balancer, where its backend runs it on none.
    pub fn addresses(&self) -> impl Iterator<Item = PeerAddress> {
        let machines =
            self.machines.iter().map(|&machine| match self.site.target.private_address(machine) {
                Some(address) => PeerAddress::Known(address),
                None => PeerAddress::Later { target: self.site.target.name.clone(), machine },
            });
        let balancer = || PeerAddress::LoadBalancer { name: self.name.clone() };
        machines.chain(self.machines.is_empty().then(balancer))
    }

    /// The addresses in the private network, where all are known before anything is made.
    #[must_use]
    pub fn known_addresses(&self) -> Option<Vec<IpAddr>> {
        self.machines.iter().map(|&machine| self.site.target.private_address(machine)).collect()
    }
}

/// The address of a machine, or of a load balancer that is on none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerAddress {
    /// Known before anything is made.
    Known(IpAddr),
    /// Known once the machine is made.
    Later {
        /// The target.
        target: Name,
        /// Which of its machines, from 0.
        machine: u32,
    },
    /// That of a load balancer of its backend's own, known once it is made.
    LoadBalancer {
        /// Its name, as of what is reached.
        name: Name,
    },
}

/// One endpoint of a functionality.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EndpointRef {
    /// The group's member that it is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Name>,
    /// Its name.
    pub name: Name,
    /// What it is.
    pub endpoint: Endpoint,
}

impl fmt::Display for EndpointRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(member) = &self.member {
            write!(f, "{member}.")?;
        }
        write!(f, "{} {}/{}", self.name, self.endpoint.port, self.endpoint.protocol)
    }
}

/// What a connection runs over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// Both run on one machine.
    Loopback,
    /// Both are in one private network.
    Private,
    /// The machines talk encrypted, each knowing the other by its certificate.
    Ipsec,
    /// The host is outside the deployment.
    External,
}

impl Via {
    /// In lower case: `loopback`, `private`, `ipsec` or `external`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Ipsec => "ipsec",
            Self::External => "external",
        }
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A functionality or load balancer that runs on a target and is left as it is there, since what
/// describes it is wrong: how it is connected must stay as well.
///
/// Nothing else is known of it for certain; what it was made of stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct LeftUnit<'a> {
    /// Its name, unique within the deployment.
    pub name: &'a Name,
    /// How many of it run.
    pub replicas: NonZeroU32,
    /// Which machines of the target it runs on, from 0, in order.
    pub machines: &'a [u32],
    /// Whom it reaches; of those that are left as well, endpoints may be missing.
    pub upstreams: Vec<Peer<'a>>,
    /// Who reaches it and is left as well; endpoints may be missing.
    pub consumers: Vec<Peer<'a>>,
}

/// One target and everything on it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Assembly<'a> {
    /// The deployment's name.
    pub deployment: &'a Name,
    /// The target.
    pub site: Site<'a>,
    /// What was placed there and compiled, in the order of their names.
    pub units: &'a [Unit<'a>],
    /// What each of them was compiled to, in the same order.
    pub artifacts: &'a [&'a super::Artifact],
    /// What runs there and is left as it is, in the order of their names.
    pub left: &'a [LeftUnit<'a>],
    /// What compiles the inside of the target's machines, where the target names a guest.
    pub guest: Option<&'a dyn super::Guest>,
    /// Who signs the certificates of machines that talk over IPsec.
    pub certificate_authority: Option<&'a CertificateAuthority>,
}
