//! How what stands differs from what the history knows of it: of parts, which have no tags of their own
//! that could tell what they were made as.
//!
//! Each tells nothing where the part is not there at all, whatever is known of it, and otherwise what is
//! other about it. A part that the history knows in another version, or not at all, is compared with
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{Digest, ResourceId, backend::Known};

use super::{
    job::tag,
    shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, RouteTable, Subnet, TargetHealth,
        Volume,
    },
};
use crate::{
    assemble::STATE_DEVICE,
    naming::{self, RESOURCE},
    request::{
        Attribute, InterfaceId, InternetGatewayId, Request, RouteTableId, TargetGroupArn, VpcId,
    },
    resource,
};

/// What is other about a part; nothing where the part is not there.
pub(super) type Drift = Option<Vec<String>>;

/// What the history knows of a target: the requests that made its resources, with everything filled in.
#[derive(Debug, Default)]
pub(super) struct Wanted(BTreeMap<ResourceId, (Digest, Request)>);

impl Wanted {
    /// As the history tells it; what cannot be read is left out.
    pub(super) fn new(known: &[Known<'_>]) -> Self {
        let wanted = known.iter().filter_map(|known| {
            let request = resource::request(&known.inputs).ok()?;
            Some((known.resource.id().clone(), (known.resource.digest(), request)))
        });
        Self(wanted.collect())
    }

    /// The request that made a version of a resource.
    pub(super) fn version(&self, id: &ResourceId, digest: Option<Digest>) -> Option<&Request> {
        self.0.get(id).filter(|(own, _)| digest == Some(*own)).map(|(_, request)| request)
    }
}

/// That something is one thing and should be another, if it is.
fn unlike(what: &str, is: &str, should: Option<&str>) -> Vec<String> {
    let unlike = should.filter(|should| *should != is);
    unlike.map(|should| format!("{what} {is} and should be {should}")).into_iter().collect()
}

/// What a gateway is attached to.
pub(super) fn attachment(gateway: &InternetGateway, wanted: Option<&Request>) -> Drift {
    let is = gateway.attachments.first()?;
    let should = match wanted {
        Some(Request::AttachInternetGateway(it)) => it.vpc_id.known().map(VpcId::as_str),
        _ => None,
    };
    Some(unlike("it is attached to", is.as_str(), should))
}

/// Where a route leads.
pub(super) fn route(table: &RouteTable, wanted: Option<&Request>) -> Drift {
    let mut made = table.routes.iter().filter(|route| route.gateway_id != "local").peekable();
    made.peek()?;
    let Some(Request::CreateRoute(wanted)) = wanted else {
        let active = made.any(|route| route.state == "active");
        return Some(if active { Vec::new() } else { vec!["it leads nowhere".to_owned()] });
    };
    let to = wanted.destination_cidr_block;
    let Some(route) = made.find(|route| route.destination_cidr_block == to) else {
        return Some(vec![format!("there is no way to {to}, and other ways are there")]);
    };
    let is = if route.gateway_id.is_empty() { "what is gone" } else { &route.gateway_id };
    let should = wanted.gateway_id.known().map(InternetGatewayId::as_str);
    let mut drift = unlike(&format!("the way to {to} is"), is, should);
    if route.state != "active" && drift.is_empty() {
        drift.push("it leads nowhere".to_owned());
    }
    Some(drift)
}

/// Which table a subnet uses.
pub(super) fn table(subnet: &Subnet, tables: &[RouteTable], wanted: Option<&Request>) -> Drift {
    let uses = |it: &&RouteTable| {
        it.associations.iter().any(|association| association.subnet_id == subnet.subnet_id)
    };
    let is = tables.iter().find(uses)?;
    let should = match wanted {
        Some(Request::AssociateRouteTable(it)) => {
            it.route_table_id.known().map(RouteTableId::as_str)
        }
        _ => None,
    };
    Some(unlike("the table that it uses is", is.route_table_id.as_str(), should))
}

/// Where an elastic address is.
pub(super) fn association(address: &Address, wanted: Option<&Request>) -> Drift {
    address.association_id.as_ref()?;
    let should = match wanted {
        Some(Request::AssociateAddress(it)) => {
            it.network_interface_id.known().map(InterfaceId::as_str)
        }
        _ => None,
    };
    let is = address.network_interface_id.as_ref().map_or("no interface", InterfaceId::as_str);
    Some(unlike("the place of the address is", is, should))
}

/// Where a disk is attached, which tags tell by themselves.
pub(super) fn place(volume: &Volume, machines: &[Instance]) -> Drift {
    let attachment = volume.attachments.first()?;
    let id = &attachment.instance_id;
    let Some(machine) = machines.iter().find(|it| it.instance_id == *id) else {
        return Some(vec![format!(
            "it is attached to {id}, which is no machine of this deployment"
        )]);
    };
    let own = tag(&volume.tags, RESOURCE).and_then(|it| ResourceId::new(it).ok());
    let own = own.map(|disk| naming::sibling(&disk, "instance"));
    let is = tag(&machine.tags, RESOURCE);
    if is != own.as_deref() {
        let other = is.unwrap_or("no resource");
        return Some(vec![format!("it is attached to {id}, which is {other}")]);
    }
    let at = &attachment.device;
    let elsewhere = (at != STATE_DEVICE).then(|| format!("it is attached as {at}"));
    Some(elsewhere.into_iter().collect())
}

/// Attributes of a load balancer or target group.
pub(super) fn attributes(has: &[Attribute], wanted: Option<&Request>) -> Vec<String> {
    let wanted = match wanted {
        Some(Request::ModifyLoadBalancerAttributes(it)) => &it.attributes,
        Some(Request::ModifyTargetGroupAttributes(it)) => &it.attributes,
        _ => return Vec::new(),
    };
    let unlike = wanted.iter().flat_map(|Attribute { key, value }| {
        let is = has.iter().find(|it| it.key == *key).map_or("not told", |it| &it.value);
        unlike(&format!("{key} is"), is, Some(value))
    });
    unlike.collect()
}

/// An autoscaling group behind a target group.
pub(super) struct Behind<'a> {
    /// All machines that are behind it and do not leave it.
    pub(super) has: &'a [TargetHealth],
    /// All autoscaling groups of the deployment.
    pub(super) scaling: &'a [AutoScalingGroup],
}

impl Behind<'_> {
    /// What is other about the autoscaling group that a part is about.
    pub(super) fn differs(&self, arn: &str, wanted: Option<&Request>) -> Drift {
        let scaled = |it: &AutoScalingGroup| it.target_group_arns.iter().any(|it| it == arn);
        let Some(Request::AttachLoadBalancerTargetGroups(it)) = wanted else {
            let any = self.scaling.iter().any(scaled) || !self.has.is_empty();
            return any.then(Vec::new);
        };
        let name = &it.auto_scaling_group_name;
        let own = self.scaling.iter().find(|it| it.auto_scaling_group_name == *name);
        let arns = it.target_group_arns.iter().filter_map(|it| it.known());
        let is_about: BTreeSet<_> = arns.map(|TargetGroupArn(arn)| arn.as_str()).collect();
        if is_about.contains(arn) && own.is_some_and(scaled) {
            return Some(Vec::new());
        }
        let line = || vec![format!("the autoscaling group {name} is not behind it")];
        (!self.has.is_empty()).then(line)
    }
}
