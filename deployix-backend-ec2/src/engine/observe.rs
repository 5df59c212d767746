//! What stands, from the tags of everything that is there: one call for each kind, and pages.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Digest, Name, ResourceId,
    backend::{BackendError, Observed},
};

use super::{
    balancer,
    call::{Described, Filter, Read},
    caller::Caller,
    job::{DIGEST, MADE_AS, OWNER, by_tags, owner, tag},
    kind::{Kind, State, value},
    record, registration,
    rule::{is_by_hand, is_default_egress, says},
    shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate,
        LaunchTemplateVersion, Listener, LoadBalancer, NetworkInterface, Parameter, RouteTable,
        SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, Volume, Vpc,
    },
    staged, target,
};
use crate::{
    assemble::STATE_DEVICE,
    extension::HostedZone,
    naming::{self, PART, RESOURCE},
    request::{GroupId, ObjectKey, Output, Tag, UserDataText},
    staging::Staging,
};

/// What a target has beside what all have, and whoever has none of it needs no right to ask for.
#[derive(Debug)]
pub(super) struct Elsewhere {
    /// The zone of its names.
    pub(super) zone: Option<HostedZone>,
    /// Whether its machines fetch secrets.
    pub(super) parameters: bool,
    /// Where they fetch what does not fit into their user data.
    pub(super) staging: Option<Staging>,
}

/// Tells what stands of a deployment in a region.
pub(super) async fn observe(
    aws: &Caller<'_>,
    deployment: &Name,
    elsewhere: &Elsewhere,
) -> Result<Vec<Observed>, BackendError> {
    let mut seen = Seen::default();
    let mine = || by_tags(deployment.as_str(), None);
    seen.add(&Vpc::find(aws, mine()).await?);
    let interfaces = NetworkInterface::find(aws, mine()).await?;
    seen.add(&interfaces);
    let machines = Instance::find(aws, mine()).await?;
    seen.add(&machines);
    for machine in machines.iter().filter(|machine| machine.is_under_way()) {
        seen.drift(&machine.tags, ["its last change did not end".to_owned()]);
    }

    let gateways = InternetGateway::find(aws, mine()).await?;
    seen.add(&gateways);
    for gateway in &gateways {
        seen.parts(&gateway.tags, (!gateway.attachments.is_empty()).then(Vec::new));
    }
    let (tables, subnets) =
        (RouteTable::find(aws, mine()).await?, Subnet::find(aws, mine()).await?);
    seen.add(&tables);
    seen.add(&subnets);
    for table in &tables {
        let route = table.routes.iter().find(|route| route.gateway_id != "local");
        let drift =
            |active: bool| if active { vec![] } else { vec!["it leads nowhere".to_owned()] };
        seen.parts(&table.tags, route.map(|route| drift(route.state == "active")));
    }
    let associated: BTreeSet<_> = tables
        .iter()
        .flat_map(|table| table.associations.iter().map(|it| it.subnet_id.clone()))
        .collect();
    for subnet in &subnets {
        seen.parts(&subnet.tags, associated.contains(&subnet.subnet_id).then(Vec::new));
    }
    let addresses = Address::find(aws, mine()).await?;
    seen.add(&addresses);
    for address in &addresses {
        seen.parts(&address.tags, address.association_id.as_ref().map(|_| Vec::new()));
    }
    let volumes = Volume::find(aws, mine()).await?;
    seen.add(&volumes);
    for volume in &volumes {
        seen.parts(&volume.tags, attached_otherwise(volume, &machines));
        seen.holds_data(&volume.tags);
    }
    groups(aws, deployment, &mut seen).await?;
    templates(aws, deployment, &mut seen).await?;
    balancers(aws, deployment, &interfaces, &mut seen).await?;
    if elsewhere.parameters {
        seen.add(&Parameter::find(aws, mine()).await?);
    }
    if let Some(zone) = &elsewhere.zone {
        record::observe(aws, deployment, zone, &mut seen).await?;
    }
    if let Some(staging) = &elsewhere.staging {
        objects(aws, deployment, staging, &mut seen).await?;
    }
    Ok(seen.0.into_values().collect())
}

/// What is other about where a disk is attached; nothing where it is attached nowhere.
fn attached_otherwise(volume: &Volume, machines: &[Instance]) -> Option<Vec<String>> {
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

/// Security groups, their rules, and what somebody opened by hand.
async fn groups(aws: &Caller<'_>, deployment: &Name, seen: &mut Seen) -> Result<(), BackendError> {
    let groups = SecurityGroup::find(aws, by_tags(deployment.as_str(), None)).await?;
    let mut rules: BTreeMap<GroupId, Vec<SecurityGroupRule>> = BTreeMap::new();
    if !groups.is_empty() {
        let ids = groups.iter().map(|group| group.group_id.as_str());
        for rule in aws.all::<SecurityGroupRule>(vec![Filter::new("group-id", ids)]).await? {
            rules.entry(rule.group_id.clone()).or_default().push(rule);
        }
    }
    seen.add(&groups);
    for group in &groups {
        let rules = rules.remove(&group.group_id).unwrap_or_default();
        let by_hand = rules.iter().filter(|rule| is_by_hand(rule)).map(|rule| {
            let way = if rule.is_egress { "out" } else { "in" };
            format!("somebody opened the way {way}: {}", says(&rule.permission))
        });
        seen.drift(&group.tags, by_hand);
        let open = rules.iter().any(is_default_egress);
        let drift = if open { vec!["everything may go out".to_owned()] } else { Vec::new() };
        seen.parts(&group.tags, Some(drift));
        seen.add(&rules);
    }
    Ok(())
}

/// Launch templates, and the user data that stands nowhere else.
async fn templates(
    aws: &Caller<'_>,
    deployment: &Name,
    seen: &mut Seen,
) -> Result<(), BackendError> {
    let templates = LaunchTemplate::find(aws, by_tags(deployment.as_str(), None)).await?;
    seen.add(&templates);
    for template in &templates {
        // Those of others hold what is none of this deployment's business.
        let own = Filter::new(LaunchTemplateVersion::ID_FILTER, [&template.launch_template_id]);
        let versions: Vec<LaunchTemplateVersion> = aws.all(vec![own]).await?;
        let Some(text) = versions.into_iter().find_map(|it| it.user_data) else { continue };
        for id in seen.parts(&template.tags, Some(Vec::new())) {
            if let Some(observed) = seen.0.get_mut(&id) {
                observed.outputs.insert(UserDataText::NAME.to_owned(), text.clone());
            }
        }
    }
    Ok(())
}

/// Autoscaling groups, load balancers and what is behind them.
async fn balancers(
    aws: &Caller<'_>,
    deployment: &Name,
    interfaces: &[NetworkInterface],
    seen: &mut Seen,
) -> Result<(), BackendError> {
    let mine = || by_tags(deployment.as_str(), None);
    let scaling = AutoScalingGroup::find(aws, mine()).await?;
    seen.add(&scaling);
    let balancers = LoadBalancer::find(aws, mine()).await?;
    seen.add(&balancers);
    for balancer in &balancers {
        let address = balancer::address(aws, &balancer.load_balancer_arn).await?;
        seen.outputs(&balancer.tags, address);
        let load_balancer_arn = balancer.load_balancer_arn.clone();
        let read = Read::DescribeLoadBalancerAttributes { load_balancer_arn };
        let attributes = aws.attributes(read).await?;
        let crosses = attributes
            .iter()
            .any(|it| it.key == "load_balancing.cross_zone.enabled" && it.value == "true");
        seen.parts(&balancer.tags, crosses.then(Vec::new));
    }
    if !balancers.is_empty() {
        seen.add(&Listener::find(aws, mine()).await?);
    }
    let groups = TargetGroup::find(aws, mine()).await?;
    seen.add(&groups);
    for group in &groups {
        let arn = &group.target_group_arn;
        let scaled = scaling.iter().any(|it| it.target_group_arns.contains(arn));
        let is_machines = |id: &ResourceId| id.as_str().contains("/machines/");
        seen.some_parts(&group.tags, is_machines, scaled.then(Vec::new));
        let targets = target::targets(aws, arn).await?;
        registration::observe(group, &targets, interfaces, seen);
        seen.some_parts(&group.tags, |id| !is_machines(id), Some(Vec::new()));
    }
    Ok(())
}

/// What machines fetch.
async fn objects(
    aws: &Caller<'_>,
    deployment: &Name,
    staging: &Staging,
    seen: &mut Seen,
) -> Result<(), BackendError> {
    for object in staged::below(aws, staging.bucket(), &staging.of_deployment(deployment)).await? {
        let Some(id) = staging.resource(deployment, &object.key) else { continue };
        let Some(tags) = aws.object_tags(&object).await? else { continue };
        let Some((_, digest)) = resource_of(&tags) else { continue };
        if let Some(other) = seen.0.get_mut(&id) {
            // With other ids in it, it may be there twice in one version, which its template has alone.
            if other.digest != digest {
                other.digest = None;
                other.drift.push("there are two of it".to_owned());
            }
            continue;
        }
        let mut observed = Observed::new(id.clone(), digest);
        observed.owner = tag(&tags, OWNER).and_then(owner);
        observed.outputs.insert(ObjectKey::NAME.to_owned(), object.key);
        seen.0.insert(id, observed);
    }
    Ok(())
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<ResourceId, Observed>);

/// The resource that something was made as, by the engine itself.
fn resource_of(tags: &[Tag]) -> Option<(ResourceId, Option<Digest>)> {
    // Root disks have the other tags of what they were started from, and are no resources.
    let digest = tag(tags, DIGEST)?;
    Some((ResourceId::new(tag(tags, RESOURCE)?).ok()?, digest.parse().ok()))
}

impl Seen {
    /// What was told of as a whole.
    pub(super) fn put(&mut self, observed: Observed) {
        self.0.insert(observed.id.clone(), observed);
    }

    fn add<K: Kind>(&mut self, all: &[K]) {
        for thing in all {
            let Some((id, digest)) = resource_of(thing.tags()) else { continue };
            let drift = match thing.state() {
                State::Ready => None,
                State::Pending(why) | State::Failed(why) => Some(why),
                State::Stopped => Some("it is stopped".to_owned()),
                State::Going | State::Gone => continue,
            };
            let now = value(&thing.settings());
            let changed = tag(thing.tags(), MADE_AS).filter(|made| *made != now);
            let changed = changed.map(|made| format!("it was `{made}` and is `{now}`"));
            if let Some(other) = self.0.get_mut(&id) {
                other.digest = None;
                other.drift.push("there are two of it".to_owned());
                continue;
            }
            let mut observed = Observed::new(id.clone(), digest);
            observed.owner = tag(thing.tags(), OWNER).and_then(owner);
            observed.outputs = thing.outputs();
            observed.drift.extend(drift.into_iter().chain(changed));
            self.0.insert(id, observed);
        }
    }

    fn of(&mut self, tags: &[Tag]) -> Option<&mut Observed> {
        let (id, _) = resource_of(tags)?;
        self.0.get_mut(&id)
    }

    fn drift(&mut self, tags: &[Tag], drift: impl IntoIterator<Item = String>) {
        if let Some(observed) = self.of(tags) {
            observed.drift.extend(drift);
        }
    }

    fn holds_data(&mut self, tags: &[Tag]) {
        if let Some(observed) = self.of(tags) {
            observed.holds_data = true;
        }
    }

    fn outputs(&mut self, tags: &[Tag], more: Option<(String, String)>) {
        if let Some(observed) = self.of(tags) {
            observed.outputs.extend(more);
        }
    }

    /// The parts that tags tell of, where they are there indeed, with what is other about them.
    fn parts(&mut self, tags: &[Tag], there: Option<Vec<String>>) -> Vec<ResourceId> {
        self.some_parts(tags, |_| true, there)
    }

    /// Some of the parts that tags tell of.
    fn some_parts(
        &mut self,
        tags: &[Tag],
        are: impl Fn(&ResourceId) -> bool,
        there: Option<Vec<String>>,
    ) -> Vec<ResourceId> {
        self.parts_of(tags, tags, are, there)
    }

    /// Some of the parts that tags tell of, on account of whoever has other tags.
    pub(super) fn parts_of(
        &mut self,
        tags: &[Tag],
        whose: &[Tag],
        are: impl Fn(&ResourceId) -> bool,
        there: Option<Vec<String>>,
    ) -> Vec<ResourceId> {
        let Some(drift) = there else { return Vec::new() };
        let owner = tag(whose, OWNER).and_then(owner);
        let mut ids = Vec::new();
        for part in tags.iter().filter(|tag| tag.key.starts_with(PART)) {
            let Some((digest, id)) = part.value.split_once(' ') else { continue };
            let Some(id) = ResourceId::new(id).ok().filter(|id| are(id)) else { continue };
            let mut observed = Observed::new(id.clone(), digest.parse().ok());
            observed.owner.clone_from(&owner);
            observed.drift.clone_from(&drift);
            self.0.insert(id.clone(), observed);
            ids.push(id);
        }
        ids
    }
}
