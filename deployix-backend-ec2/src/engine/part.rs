//! Parts: what has no tags of its own, such as attachments, routes and associations.
//!
//! A part is done to something that stands by itself, and a tag of that tells of it: written once the
//! part is done, taken away after it is undone. So a part is found by the tags of the whole, and what
//! it connects is looked at before anything is changed.

use std::{future::Future, time::Duration};

use deployix_core::{Digest, backend::BackendError};

use super::{
    call::{CallError, Filter, Read, Write},
    caller::{Caller, refused},
    error::{is_late, is_there_already},
    job::{Job, Outputs, by_tags, known, tag},
    kind::{Kind, VISIBLE, check, is_standing, made_as, named, telling},
    rule::{is_default_egress, revoke},
    shape::{
        Address, Instance, InternetGateway, LoadBalancer, RouteTable, SecurityGroup, Subnet,
        TargetGroup,
    },
    wait::Waiting,
};
use crate::{
    naming::{part, part_key},
    request::{
        AssociateAddress, AssociateRouteTable, AttachInternetGateway, CreateRoute, InterfaceId,
        ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes, Request,
        RevokeSecurityGroupEgress, Service, SubnetId, Value,
    },
};

/// What something is done to.
pub(super) trait Whole: Kind {
    /// Undoes what is done to it.
    fn undo(&self, job: &Job<'_>) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// The thing of an id, which an earlier step made, once AWS shows it.
///
/// # Errors
/// A conflict where another history keeps it by now.
pub(super) async fn whole<K: Kind>(job: &Job<'_>, id: &str) -> Result<K, BackendError> {
    let mut wait = Waiting::new(&job.aws, VISIBLE, format!("{} to be shown", named::<K>(id)));
    loop {
        let found = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, [id])]).await?;
        if let Some(thing) = found.into_iter().find(|thing| thing.id() == id) {
            check(job, std::slice::from_ref(&thing)).map_err(BackendError::as_it_was)?;
            return Ok(thing);
        }
        if !wait.go_on("AWS does not show it").await {
            let to_do = "run `plan --refresh`, which makes a plan anew for what is gone";
            return Err(wait.over(telling::<K>(), to_do));
        }
    }
}

/// Writes down that a part is done.
pub(super) async fn done<K: Kind>(job: &Job<'_>, whole: &K) -> Result<Outputs, BackendError> {
    let digest: Option<Digest> = job.digest.parse().ok();
    let wanted = digest.map(|digest| part(job.id, digest));
    job.tag(K::SERVICE, &whole.id(), whole.tags(), wanted).await?;
    Ok(Outputs::new())
}

/// Undoes a part, however much of it is done.
pub(super) async fn remove<K: Whole>(job: &Job<'_>) -> Result<(), BackendError> {
    let key = part_key(job.id);
    let mut all = K::find(&job.aws, by_tags(job.deployment().as_str(), None)).await?;
    all.retain(|thing| tag(thing.tags(), &key).is_some());
    check(job, &all).map_err(BackendError::as_it_was)?;
    for thing in &all {
        thing.undo(job).await?;
        let (ids, tag_keys) = (vec![thing.id()], vec![key.clone()]);
        let write = match K::SERVICE {
            Service::ElasticLoadBalancing => Write::RemoveTags { resource_arns: ids, tag_keys },
            _ => Write::DeleteTags { resources: ids, tag_keys },
        };
        job.aws.remove(write).await?;
    }
    Ok(())
}

/// Attempts at one thing. After each it is looked at; before each but the first some time passes, as
/// AWS shows what it did only after a while.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    wait: Waiting<'a>,
    begun: bool,
    /// Why the last one did nothing.
    refused: Option<CallError>,
}

impl<'a> Attempts<'a> {
    /// Five minutes of them, at what has to come.
    pub(super) fn new(job: &Job<'a>, what: impl Into<String>) -> Self {
        let wait = Waiting::new(&job.aws, Duration::from_secs(300), what);
        Self { wait, begun: false, refused: None }
    }

    /// Waits a while; not, where the time is over.
    pub(super) async fn go_on(&mut self, seen: impl Into<String>) -> bool {
        self.wait.go_on(seen).await
    }

    /// Their time is over.
    pub(super) fn over(&self, operation: &'static str, to_do: &str) -> BackendError {
        self.wait.over(operation, to_do)
    }

    /// Waits until it is time for the next one; tells whether there is one.
    async fn next(&mut self) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            return true;
        }
        let seen = match &self.refused {
            Some(error) => refused(error),
            None => "AWS takes it, and does not show that it is done".to_owned(),
        };
        self.go_on(seen).await
    }

    fn not_shown(&self, operation: &'static str) -> BackendError {
        self.over(operation, "look in AWS's console whether it is done there")
    }
}

/// Carries out a request, after which it has to be looked whether it is done: it may have been refused
/// because it is, or because something it needs is not known everywhere yet.
pub(super) async fn attempt(
    job: &Job<'_>,
    request: impl Into<Request>,
    attempts: &mut Attempts<'_>,
) -> Result<(), BackendError> {
    let request = request.into();
    if !attempts.next().await {
        return Err(match attempts.refused.take() {
            Some(error) => Caller::refused(request, error),
            None => attempts.not_shown(request.operation()),
        });
    }
    attempts.refused = job.aws.create(request.clone(), None).await?.err();
    match &attempts.refused {
        Some(error) if !is_there_already(error) && !is_late(error) => {
            Err(Caller::refused(request, error.clone()))
        }
        _ => Ok(()),
    }
}

/// Changes something, after which it has to be looked whether it is changed.
async fn change(
    job: &Job<'_>,
    write: Write,
    attempts: &mut Attempts<'_>,
) -> Result<(), BackendError> {
    if attempts.next().await {
        job.aws.write(write).await
    } else {
        Err(attempts.not_shown(write.operation()))
    }
}

pub(super) async fn attach_gateway(
    job: &Job<'_>,
    request: &AttachInternetGateway,
) -> Result<Outputs, BackendError> {
    let (id, vpc) = (known(&request.internet_gateway_id)?, known(&request.vpc_id)?);
    let mut attempts = Attempts::new(job, format!("{id} to be attached to {vpc}"));
    loop {
        let gateway: InternetGateway = whole(job, id.as_str()).await?;
        match gateway.attachments.as_slice() {
            [attached] if attached == vpc => return done(job, &gateway).await,
            [] => attempt(job, request.clone(), &mut attempts).await?,
            _ => gateway.undo(job).await?,
        }
    }
}

impl Whole for InternetGateway {
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        self.detach(job).await
    }
}

pub(super) async fn route(job: &Job<'_>, request: &CreateRoute) -> Result<Outputs, BackendError> {
    let (id, gateway) = (known(&request.route_table_id)?, known(&request.gateway_id)?);
    let mut attempts =
        Attempts::new(job, format!("{id} to have its route to {}", request.destination_cidr_block));
    loop {
        let table: RouteTable = whole(job, id.as_str()).await?;
        let destination_cidr_block = request.destination_cidr_block;
        let mut routes = table.routes.iter();
        match routes.find(|route| route.destination_cidr_block == destination_cidr_block) {
            Some(route) if route.gateway_id == gateway.as_str() => return done(job, &table).await,
            Some(_) => {
                let (route_table_id, gateway_id) = (id.clone(), gateway.clone());
                let write =
                    Write::ReplaceRoute { route_table_id, destination_cidr_block, gateway_id };
                change(job, write, &mut attempts).await?;
            }
            None => attempt(job, request.clone(), &mut attempts).await?,
        }
    }
}

impl Whole for RouteTable {
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        for route in self.routes.iter().filter(|route| route.gateway_id != "local") {
            let (route_table_id, destination_cidr_block) =
                (self.route_table_id.clone(), route.destination_cidr_block);
            job.aws.remove(Write::DeleteRoute { route_table_id, destination_cidr_block }).await?;
        }
        Ok(())
    }
}

/// The table that a subnet was made to use, and by which association.
async fn association(
    job: &Job<'_>,
    subnet: &SubnetId,
) -> Result<Option<(RouteTable, String)>, BackendError> {
    let filter = Filter::new("association.subnet-id", [subnet.as_str()]);
    let tables: Vec<RouteTable> = job.aws.all(vec![filter]).await?;
    Ok(tables.into_iter().find_map(|table| {
        let mut all = table.associations.iter();
        let id = all.find(|it| it.subnet_id == *subnet)?.route_table_association_id.clone();
        Some((table, id))
    }))
}

pub(super) async fn associate_table(
    job: &Job<'_>,
    request: &AssociateRouteTable,
) -> Result<Outputs, BackendError> {
    let (id, subnet) = (known(&request.route_table_id)?, known(&request.subnet_id)?);
    let mut attempts = Attempts::new(job, format!("{subnet} to use {id}"));
    loop {
        match association(job, subnet).await? {
            Some((table, _)) if table.route_table_id == *id => {
                let subnet: Subnet = whole(job, subnet.as_str()).await?;
                return done(job, &subnet).await;
            }
            Some((_, association_id)) => {
                let route_table_id = id.clone();
                let write = Write::ReplaceRouteTableAssociation { association_id, route_table_id };
                change(job, write, &mut attempts).await?;
            }
            None => attempt(job, request.clone(), &mut attempts).await?,
        }
    }
}

impl Whole for Subnet {
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let Some((_, association_id)) = association(job, &self.subnet_id).await? else {
            return Ok(());
        };
        job.aws.remove(Write::DisassociateRouteTable { association_id }).await
    }
}

/// Takes away the rule by which a new group lets everything out.
pub(super) async fn close(
    job: &Job<'_>,
    request: &RevokeSecurityGroupEgress,
) -> Result<Outputs, BackendError> {
    let id = known(&request.group_id)?;
    let group: SecurityGroup = whole(job, id.as_str()).await?;
    // A new group's rule may be shown later than the group.
    let was_done = tag(&group.tags, &part_key(job.id)).is_some();
    let within = if was_done { Duration::ZERO } else { Duration::from_secs(8) };
    let mut wait = Waiting::new(&job.aws, within, format!("the first rule of {id} to be shown"));
    while !revoke(job, id, is_default_egress).await? && wait.go_on("AWS shows none").await {}
    done(job, &group).await
}

impl Whole for SecurityGroup {
    /// A group is not opened again: it goes, or is wanted closed.
    async fn undo(&self, _: &Job<'_>) -> Result<(), BackendError> {
        Ok(())
    }
}

pub(super) async fn associate_address(
    job: &Job<'_>,
    request: &AssociateAddress,
) -> Result<Outputs, BackendError> {
    let address: Address = whole(job, known(&request.allocation_id)?.as_str()).await?;
    // It stays with the machine that it leads to, and comes along once that one goes.
    if let Some(interface) = &address.network_interface_id
        && made_as::<Instance>(job, &job.sibling("instance"))
            .await?
            .iter()
            .any(|it| is_standing(it) && it.network_interfaces.contains(interface))
    {
        return done(job, &address).await;
    }
    associated(job, request).await?;
    done(job, &address).await
}

/// Lets an address lead to another interface.
async fn associated(job: &Job<'_>, request: &AssociateAddress) -> Result<(), BackendError> {
    let (id, interface) = (known(&request.allocation_id)?, known(&request.network_interface_id)?);
    let mut attempts = Attempts::new(job, format!("{id} to lead to {interface}"));
    loop {
        let address: Address = whole(job, id.as_str()).await?;
        if address.network_interface_id.as_ref() == Some(interface) {
            return Ok(());
        }
        attempt(job, request.clone(), &mut attempts).await?;
    }
}

/// Lets the address that led to a machine that is gone lead to the interface of the next one.
pub(super) async fn bring_address(
    job: &Job<'_>,
    interface: &Value<InterfaceId>,
) -> Result<(), BackendError> {
    for address in made_as::<Address>(job, &job.sibling("address")).await? {
        if address.network_interface_id.is_some() {
            let request = AssociateAddress {
                allocation_id: address.allocation_id.into(),
                network_interface_id: interface.clone(),
                allow_reassociation: true,
            };
            associated(job, &request).await?;
        }
    }
    Ok(())
}

impl Whole for Address {
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        match self.association_id.clone() {
            Some(id) => job.aws.remove(Write::DisassociateAddress { association_id: id }).await,
            None => Ok(()),
        }
    }
}

pub(super) async fn attributes(
    job: &Job<'_>,
    request: &ModifyLoadBalancerAttributes,
) -> Result<Outputs, BackendError> {
    let arn = &known(&request.load_balancer_arn)?.0;
    let balancer: LoadBalancer = whole(job, arn).await?;
    let mut attempts =
        Attempts::new(job, format!("{} to have its attributes", named::<LoadBalancer>(arn)));
    loop {
        let load_balancer_arn = arn.clone();
        let read = Read::DescribeLoadBalancerAttributes { load_balancer_arn };
        let has = job.aws.attributes(read).await?;
        if request.attributes.iter().all(|wanted| has.contains(wanted)) {
            return done(job, &balancer).await;
        }
        attempt(job, request.clone(), &mut attempts).await?;
    }
}

pub(super) async fn group_attributes(
    job: &Job<'_>,
    request: &ModifyTargetGroupAttributes,
) -> Result<Outputs, BackendError> {
    let arn = &known(&request.target_group_arn)?.0;
    let group: TargetGroup = whole(job, arn).await?;
    let mut attempts =
        Attempts::new(job, format!("{} to have its attributes", named::<TargetGroup>(arn)));
    loop {
        let target_group_arn = arn.clone();
        let read = Read::DescribeTargetGroupAttributes { target_group_arn };
        let has = job.aws.attributes(read).await?;
        if request.attributes.iter().all(|wanted| has.contains(wanted)) {
            return done(job, &group).await;
        }
        attempt(job, request.clone(), &mut attempts).await?;
    }
}

impl Whole for LoadBalancer {
    /// Attributes have no state to go back to.
    async fn undo(&self, _: &Job<'_>) -> Result<(), BackendError> {
        Ok(())
    }
}
