//! The network that a target's machines stand in: made here, or one that exists.

use deployix_core::{
    Name, ResourceId,
    backend::{CompileError, Owner, Remark, Resource, Site, Subject},
};
use ipnet::Ipv4Net;

use crate::{
    cidr,
    extension::{LocationSettings, NetworkSettings},
    naming,
    request::{
        AssociateRouteTable, AttachInternetGateway, CreateInternetGateway, CreateRoute,
        CreateRouteTable, CreateSubnet, CreateVpc, SubnetId, Value, VpcId, ZoneName,
    },
    resource::resource,
    settings,
    staging::Staging,
};

/// The addresses of a network that says nothing else. Two networks may have the same: they meet
/// only over public addresses.
const DEFAULT_CIDR: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 16);

/// A network and its subnets.
///
/// What it says depends on the network and its location alone, never on the target, so that all
/// targets of a network give equal resources for it.
#[derive(Debug)]
pub(crate) struct Net<'a> {
    deployment: &'a Name,
    /// The first segments of its resources' ids.
    scope: [&'a str; 2],
    owner: Owner,
    /// The region; that of whoever deploys where it is `None`.
    pub(crate) region: Option<String>,
    /// Where machines fetch what does not fit into their user data.
    pub(crate) staging: Option<Staging>,
    pub(crate) vpc: Value<VpcId>,
    /// Which VPC it is, as segments of ids: `network/n`, or the id of one that exists. AWS moves nothing
    /// from one to another, neither security groups nor what has them: so what is in another VPC has
    /// another id, is made beside what was there, and that goes after it.
    pub(crate) vpc_place: String,
    pub(crate) subnets: Vec<Subnet>,
    /// What it is made of, where it is made here.
    made: Option<Ipv4Net>,
}

#[derive(Debug)]
pub(crate) struct Subnet {
    pub(crate) id: Value<SubnetId>,
    pub(crate) zone: Value<ZoneName>,
    /// Its addresses, where it is made here.
    cidr: Option<Ipv4Net>,
    /// Where it is, as the last segment of ids: `10.0.0.0-20`, or the id of one that exists. AWS moves
    /// none, and no network interface out of one: so what is elsewhere has another id, is made beside
    /// what was there, and that goes after it.
    place: String,
}

/// The id of the network interface of a machine, which tells where the interface is.
pub(crate) fn interface(
    deployment: &Name,
    site: &Site<'_>,
    machine: u32,
) -> Result<ResourceId, CompileError> {
    Net::of(deployment, site)?.interface(&site.target.name, machine)
}

/// The id of a load balancer, which tells where the first of its interfaces is.
pub(crate) fn balancer(
    deployment: &Name,
    site: &Site<'_>,
    name: &Name,
) -> Result<ResourceId, CompileError> {
    naming::of_functionality(name, &["load-balancer", &Net::of(deployment, site)?.place(0)?])
}

impl<'a> Net<'a> {
    /// The network of a target; one of its own where it shares none.
    pub(crate) fn of(deployment: &'a Name, site: &Site<'a>) -> Result<Self, CompileError> {
        let target = site.target;
        let (scope, owner) = match site.network {
            Some((name, _)) => (["network", name.as_str()], Owner::Network(name.clone())),
            None => (["target", target.name.as_str()], Owner::Target(target.name.clone())),
        };
        check_location(site)?;
        let location: LocationSettings = match site.location {
            Some((_, location)) => settings(&location.extensions)?,
            None => LocationSettings::default(),
        };
        let network: NetworkSettings = match site.network {
            Some((_, network)) => settings(&network.extensions)?,
            None => NetworkSettings::default(),
        };
        check_zones(site, &location)?;
        let mut net = Self {
            deployment,
            scope,
            owner,
            region: location.region,
            staging: location.staging,
            vpc: Value::output_of(&naming::id(&[scope[0], scope[1], "vpc"])?),
            vpc_place: scope.join("/"),
            subnets: Vec::new(),
            made: None,
        };
        match network.vpc {
            Some(_) if !network.subnet_cidrs.is_empty() => {
                let message = "the network exists, and so do the blocks of its subnets";
                return Err(at_network(site, "subnet-cidrs", message)
                    .remedy("leave `subnet-cidrs` out, or leave `vpc` out to have a network made")
                    .into());
            }
            Some(vpc) => {
                net.vpc_place = vpc.to_string();
                net.vpc = vpc.into();
                net.subnets = adopted(site, network.subnets, location.zones)?;
            }
            None if !network.subnets.is_empty() => {
                return Err(at_network(site, "subnets", "it names subnets and not their network")
                    .remedy("add `vpc` beside `subnets`, or leave both out to have them made")
                    .into());
            }
            None => {
                let range = network.cidr.unwrap_or(DEFAULT_CIDR);
                let invalid = |error: cidr::CidrError| {
                    at_network(site, "cidr", error.to_string())
                        .remedy("write a block such as \"10.0.0.0/16\"")
                };
                net.made = Some(cidr::check(range).map_err(invalid)?);
                let zones = location.zones.len().max(1);
                let ranges = if network.subnet_cidrs.is_empty() {
                    cidr::subnets(range, zones).map_err(invalid)?
                } else {
                    chosen(site, range, zones, network.subnet_cidrs)?
                };
                for (at, range) in ranges.into_iter().enumerate() {
                    let place = format!("{}-{}", range.network(), range.prefix_len());
                    let id = net.id(&["subnet", &place])?;
                    let zone = location.zones.get(at).map(|zone| ZoneName(zone.clone()).into());
                    net.subnets.push(Subnet {
                        zone: zone.unwrap_or_else(|| Value::output_of(&id)),
                        id: Value::output_of(&id),
                        cidr: Some(range),
                        place,
                    });
                }
            }
        }
        Ok(net)
    }

    /// The subnet of a machine: machines go round the zones.
    pub(crate) fn subnet(&self, machine: u32) -> Option<&Subnet> {
        self.subnets.get(machine as usize % self.subnets.len().max(1))
    }

    /// What has to be there for its machines to reach anything.
    pub(crate) fn ways_out(&self) -> Result<Vec<ResourceId>, CompileError> {
        if self.made.is_none() {
            return Ok(Vec::new());
        }
        let mut ways = vec![self.id(&["default-route"])?];
        for subnet in &self.subnets {
            ways.push(self.id(&["subnet", &subnet.place, "routes"])?);
        }
        Ok(ways)
    }

    /// The id of the network interface of a machine of a target that is in this network.
    pub(crate) fn interface(
        &self,
        target: &Name,
        machine: u32,
    ) -> Result<ResourceId, CompileError> {
        naming::of_machine(target, machine, &format!("interface/{}", self.place(machine)?))
    }

    /// Where a machine is, as the last segments of ids.
    pub(crate) fn place(&self, machine: u32) -> Result<String, CompileError> {
        let Some(subnet) = self.subnet(machine) else {
            return Err(Remark::new(["network"], "its network has no subnet").into());
        };
        Ok(format!("{}/{}", self.vpc_place, subnet.place))
    }

    /// Everything it is made of; nothing, where it exists already.
    pub(crate) fn resources(&self) -> Result<Vec<Resource>, CompileError> {
        let Some(range) = self.made else { return Ok(Vec::new()) };
        let name = format!("{}/{}", self.deployment, self.scope[1]);
        let tagged = |kind: &str, id: &ResourceId| naming::tagged(kind, self.deployment, &name, id);
        let mut made = Vec::new();

        let vpc = self.id(&["vpc"])?;
        let tag_specifications = tagged("vpc", &vpc);
        made.push(self.make(vpc, CreateVpc { cidr_block: range, tag_specifications })?);

        let gateway = self.id(&["internet-gateway"])?;
        let tag_specifications = tagged("internet-gateway", &gateway);
        made.push(self.make(gateway.clone(), CreateInternetGateway { tag_specifications })?);
        let attachment = self.id(&["internet-gateway", "attachment"])?;
        let attach = AttachInternetGateway {
            internet_gateway_id: Value::output_of(&gateway),
            vpc_id: self.vpc.clone(),
        };
        made.push(self.make(attachment.clone(), attach)?);

        let table = self.id(&["route-table"])?;
        let tag_specifications = tagged("route-table", &table);
        let create = CreateRouteTable { vpc_id: self.vpc.clone(), tag_specifications };
        made.push(self.make(table.clone(), create)?);
        let route = CreateRoute {
            route_table_id: Value::output_of(&table),
            destination_cidr_block: Ipv4Net::default(),
            gateway_id: Value::output_of(&gateway),
        };
        // A route to a gateway that is not attached yet is refused.
        let (id, region) = (self.id(&["default-route"])?, self.region.as_deref());
        made.push(resource(id, self.owner.clone(), region, route, [attachment])?);

        for subnet in &self.subnets {
            let Some(cidr_block) = subnet.cidr else { continue };
            let id = self.id(&["subnet", &subnet.place])?;
            let create = CreateSubnet {
                vpc_id: self.vpc.clone(),
                cidr_block,
                availability_zone: subnet.zone.known().cloned(),
                tag_specifications: tagged("subnet", &id),
            };
            made.push(self.make(id, create)?);
            let associate = AssociateRouteTable {
                route_table_id: Value::output_of(&table),
                subnet_id: subnet.id.clone(),
            };
            made.push(self.make(self.id(&["subnet", &subnet.place, "routes"])?, associate)?);
        }
        Ok(made)
    }

    fn make(
        &self,
        id: ResourceId,
        request: impl Into<crate::request::Request>,
    ) -> Result<Resource, CompileError> {
        resource(id, self.owner.clone(), self.region.as_deref(), request, [])
    }

    fn id(&self, rest: &[&str]) -> Result<ResourceId, CompileError> {
        naming::id(&[&self.scope, rest].concat())
    }
}

/// The blocks that somebody chose for the subnets, all that is wrong about them told at once.
fn chosen(
    site: &Site<'_>,
    range: Ipv4Net,
    zones: usize,
    blocks: Vec<Ipv4Net>,
) -> Result<Vec<Ipv4Net>, CompileError> {
    let mut reasons = Vec::new();
    let mut wrong = |message: String, remedy: String| {
        reasons.push(at_network(site, "subnet-cidrs", message).remedy(remedy));
    };
    if blocks.len() != zones {
        wrong(
            format!("there are {} blocks and {zones} zones", blocks.len()),
            "list one block for each of the location's `zones`, in their order".to_owned(),
        );
    }
    for (at, block) in blocks.iter().enumerate() {
        if let Err(error) = cidr::check(*block) {
            wrong(error.to_string(), format!("write a block of {range}, such as a /24 of it"));
        } else if !range.contains(block) {
            wrong(
                format!("{block} is not within {range}, the network's own block"),
                "choose a block within it, or a larger `cidr`".to_owned(),
            );
        }
        for other in blocks[..at].iter().filter(|other| cidr::overlap(**other, *block)) {
            wrong(
                format!("{other} and {block} overlap"),
                "give each zone addresses of its own".to_owned(),
            );
        }
    }
    if reasons.is_empty() { Ok(blocks) } else { Err(CompileError { reasons }) }
}

fn adopted(
    site: &Site<'_>,
    subnets: Vec<SubnetId>,
    zones: Vec<String>,
) -> Result<Vec<Subnet>, CompileError> {
    if subnets.is_empty() || subnets.len() != zones.len() {
        let message = format!(
            "a network that exists needs one subnet for each of its location's zones; there are {} \
             subnets and {} zones",
            subnets.len(),
            zones.len()
        );
        return Err(at_network(site, "subnets", message)
            .remedy(
                "list in `subnets` one subnet for each of the location's `zones`, in their order",
            )
            .into());
    }
    let pairs = subnets.into_iter().zip(zones);
    let subnet = |(id, zone): (SubnetId, String)| Subnet {
        place: id.to_string(),
        id: id.into(),
        zone: ZoneName(zone).into(),
        cidr: None,
    };
    Ok(pairs.map(subnet).collect())
}

/// A network is in one place, which it says itself.
fn check_location(site: &Site<'_>) -> Result<(), CompileError> {
    let (Some((name, network)), Some(own)) = (site.network, &site.target.location) else {
        return Ok(());
    };
    if network.location.as_ref() == Some(own) {
        return Ok(());
    }
    let elsewhere = match &network.location {
        Some(location) => format!("its network {name} is in {location}"),
        None => format!("its network {name} says no location"),
    };
    Err(Remark::new(["location"], format!("it is in {own}, and {elsewhere}"))
        .about(Subject::Target(site.target.name.clone()))
        .remedy(format!("a VPC is in one region: set the location of network {name} alone"))
        .into())
}

fn check_zones(site: &Site<'_>, settings: &LocationSettings) -> Result<(), CompileError> {
    let Some((name, _)) = site.location else { return Ok(()) };
    let mut reasons = Vec::new();
    let mut wrong = |key: &str, message: String, remedy: &str| {
        let remark = Remark::new(["extensions", crate::ID, key], message).remedy(remedy);
        reasons.push(remark.about(Subject::Location(name.clone())));
    };
    match &settings.region {
        Some(region) if !is_region(region) => wrong(
            "region",
            format!("no region of AWS is named like {region:?}"),
            "write a region such as \"ap-southeast-1\"",
        ),
        Some(region) => {
            // A zone is named after its region, and a letter; Local Zones have more between.
            for zone in settings.zones.iter().filter(|zone| !zone.starts_with(region.as_str())) {
                wrong(
                    "zones",
                    format!("zone {zone:?} is not in region {region}"),
                    "write zones of the location's own region, such as \"ap-southeast-1a\"",
                );
            }
        }
        None if !settings.zones.is_empty() => wrong(
            "zones",
            "it has zones and no region".to_owned(),
            "add `extensions.ec2.region` to the location",
        ),
        None => {}
    }
    for (at, zone) in settings.zones.iter().enumerate() {
        if settings.zones[..at].contains(zone) {
            wrong("zones", format!("zone {zone:?} is there twice"), "name each zone once");
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(CompileError { reasons }) }
}

/// `ap-southeast-1`, `us-gov-west-1`: words, hyphens and a final number.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<_> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    parts.len() >= 2
        && parts.iter().all(word)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Something about a network, told of it alone, whoever is in it.
fn at_network(site: &Site<'_>, key: &str, message: impl Into<String>) -> Remark {
    let remark = Remark::new(["extensions", crate::ID, key], message);
    match site.network {
        Some((name, _)) => remark.about(Subject::Network(name.clone())),
        None => remark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_told_from_zones_and_places() {
        for good in ["ap-southeast-1", "us-gov-west-1", "eu-central-2"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["", "singapore", "ap-southeast-1a", "ap-1", "AP-SOUTHEAST-1", "ap--1"] {
            assert!(!is_region(bad), "{bad}");
        }
    }
}
