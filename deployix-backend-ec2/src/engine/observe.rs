//! What stands, from the tags of everything that is there: one call for each kind, and pages.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    Name, ResourceId,
    backend::{BackendError, Observed},
};

use super::{
    balancer,
    call::{Described, Filter, Read},
    caller::Caller,
    drift::{self, Behind, Drift, Wanted},
    job::{MADE_AS, OWNER, by_tags, history, is_made_for, owner, resource_of, tag},
    kind::{Kind, State, is_standing, value},
    record, registration,
    rule::{is_by_hand, is_default_egress, says},
    shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate,
        LaunchTemplateVersion, LoadBalancer, NetworkInterface, Parameter, RouteTable,
        SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, TargetHealth, Volume, Vpc,
    },
    staged, target,
};
use crate::{
    extension::HostedZone,
    naming::{PART, is_of_machines},
    request::{GroupId, LaunchTemplateRef, ObjectKey, Output, Request, Tag, UserDataText},
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

/// Tells what stands of a deployment in a region, beside what is wanted there.
pub(super) async fn observe(
    aws: &Caller<'_>,
    deployment: &Name,
    elsewhere: &Elsewhere,
    wanted: Wanted,
) -> Result<Vec<Observed>, BackendError> {
    let mut seen = Seen { wanted, ..Seen::default() };
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
        seen.parts(&gateway.tags, |_, wanted| drift::attachment(gateway, wanted));
    }
    let (tables, subnets) =
        (RouteTable::find(aws, mine()).await?, Subnet::find(aws, mine()).await?);
    seen.add(&tables);
    seen.add(&subnets);
    for table in &tables {
        seen.parts(&table.tags, |_, wanted| drift::route(table, wanted));
    }
    for subnet in &subnets {
        seen.parts(&subnet.tags, |_, wanted| drift::table(subnet, &tables, wanted));
    }
    let addresses = Address::find(aws, mine()).await?;
    seen.add(&addresses);
    for address in &addresses {
        seen.parts(&address.tags, |_, wanted| drift::association(address, wanted));
    }
    let volumes = Volume::find(aws, mine()).await?;
    seen.add(&volumes);
    for volume in &volumes {
        seen.parts(&volume.tags, |_, _| drift::place(volume, &machines));
        seen.holds_data(&volume.tags);
    }
    groups(aws, deployment, &mut seen).await?;
    let protecting = templates(aws, deployment, &mut seen).await?;
    protections(aws, &machines, &protecting, &mut seen).await?;
    balancers(aws, deployment, &machines, &interfaces, &mut seen).await?;
    if elsewhere.parameters {
        seen.add(&Parameter::find(aws, mine()).await?);
    }
    if let Some(zone) = &elsewhere.zone {
        record::observe(aws, deployment, zone, &mut seen).await?;
    }
    if let Some(staging) = &elsewhere.staging {
        objects(aws, deployment, staging, &mut seen).await?;
    }
    Ok(seen.all.into_values().collect())
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
        let mut rules = rules.remove(&group.group_id).unwrap_or_default();
        let by_hand = rules.iter().filter(|rule| is_by_hand(deployment, rule));
        let by_hand = by_hand.map(|rule| {
            let way = if rule.is_egress { "out" } else { "in" };
            format!("somebody opened the way {way}: {}", says(&rule.permission))
        });
        seen.drift(&group.tags, by_hand);
        let open = rules.iter().any(is_default_egress);
        let drift = open.then(|| "everything may go out".to_owned());
        seen.parts(&group.tags, |_, _| Some(drift.iter().cloned().collect()));
        rules.retain(|rule| is_made_for(deployment, &rule.tags));
        seen.add(&rules);
    }
    Ok(())
}

/// Launch templates, and the user data that stands nowhere else; the names of those whose machines are
/// to be protected from being ended.
async fn templates(
    aws: &Caller<'_>,
    deployment: &Name,
    seen: &mut Seen,
) -> Result<BTreeSet<String>, BackendError> {
    let templates = LaunchTemplate::find(aws, by_tags(deployment.as_str(), None)).await?;
    seen.add(&templates);
    let mut protecting = BTreeSet::new();
    for template in &templates {
        let (default, first) = (template.default_version_number, LaunchTemplateRef::VERSION);
        let other = default != first;
        let other =
            other.then(|| format!("its default version is {default} and should be {first}"));
        seen.drift(&template.tags, other);
        // Those of others hold what is none of this deployment's business.
        let own = Filter::new(LaunchTemplateVersion::ID_FILTER, [&template.launch_template_id]);
        let versions: Vec<LaunchTemplateVersion> = aws.all(vec![own]).await?;
        if versions.iter().any(|it| it.disable_api_termination) {
            protecting.insert(template.launch_template_name.clone());
        }
        let Some(text) = versions.into_iter().find_map(|it| it.user_data) else { continue };
        for id in seen.parts(&template.tags, |_, _| Some(Vec::new())) {
            if let Some(observed) = seen.all.get_mut(&id) {
                observed.outputs.insert(UserDataText::NAME.to_owned(), text.clone());
            }
        }
    }
    Ok(protecting)
}

/// Machines that are to be protected from being ended, and are not.
async fn protections(
    aws: &Caller<'_>,
    machines: &[Instance],
    protecting: &BTreeSet<String>,
    seen: &mut Seen,
) -> Result<(), BackendError> {
    for machine in machines.iter().filter(|it| is_standing(*it)) {
        let Some(Request::RunInstances(it)) = seen.wanted(&machine.tags) else { continue };
        if protecting.contains(&it.launch_template.launch_template_name)
            && aws.is_protected(machine.instance_id.clone()).await? == Some(false)
        {
            let off = "its protection from being ended is off and should be on".to_owned();
            seen.drift(&machine.tags, [off]);
        }
    }
    Ok(())
}

/// Autoscaling groups, load balancers and what is behind them.
async fn balancers(
    aws: &Caller<'_>,
    deployment: &Name,
    machines: &[Instance],
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
        let has = aws.attributes(read).await?;
        seen.parts(&balancer.tags, |_, wanted| Some(drift::attributes(&has, wanted)));
        let listeners = balancer::listeners_of(aws, &balancer.load_balancer_arn).await?;
        let (made, by_hand): (Vec<_>, Vec<_>) =
            listeners.into_iter().partition(|it| is_made_for(deployment, &it.tags));
        seen.add(&made);
        let by_hand = by_hand
            .iter()
            .map(|it| format!("somebody made it listen on {} {}", it.protocol, it.port));
        seen.drift(&balancer.tags, by_hand);
    }
    let groups = TargetGroup::find(aws, mine()).await?;
    seen.add(&groups);
    for group in &groups {
        let arn = &group.target_group_arn;
        let mut has = target::targets(aws, arn).await?;
        has.retain(TargetHealth::is_in);
        let read = Read::DescribeTargetGroupAttributes { target_group_arn: arn.clone() };
        let attributes = aws.attributes(read).await?;
        let behind = Behind { has: &has, scaling: &scaling };
        seen.parts(&group.tags, |id, wanted| {
            if is_of_machines(id) {
                behind.differs(arn, wanted)
            } else {
                Some(drift::attributes(&attributes, wanted))
            }
        });
        registration::Group { group, has: &has, machines }.observe(interfaces, seen);
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
        if let Some(other) = seen.all.get_mut(&id) {
            // With other ids in it, it may be there twice in one version, which its template has alone.
            if other.digest != digest {
                other.digest = None;
                other.drift.push("there are two of it".to_owned());
            }
            continue;
        }
        let mut observed = Observed::new(id.clone(), digest);
        observed.owner = tag(&tags, OWNER).and_then(owner);
        observed.kept_by = history(&tags);
        observed.outputs.insert(ObjectKey::NAME.to_owned(), object.key);
        seen.all.insert(id, observed);
    }
    Ok(())
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    all: BTreeMap<ResourceId, Observed>,
    /// What the history knows of it.
    wanted: Wanted,
}

impl Seen {
    /// What was told of as a whole.
    pub(super) fn put(&mut self, observed: Observed) {
        self.all.insert(observed.id.clone(), observed);
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
            if let Some(other) = self.all.get_mut(&id) {
                other.digest = None;
                other.drift.push("there are two of it".to_owned());
                continue;
            }
            let mut observed = Observed::new(id.clone(), digest);
            observed.owner = tag(thing.tags(), OWNER).and_then(owner);
            observed.kept_by = history(thing.tags());
            observed.outputs = thing.outputs();
            observed.drift.extend(drift.into_iter().chain(changed));
            self.all.insert(id, observed);
        }
    }

    fn of(&mut self, tags: &[Tag]) -> Option<&mut Observed> {
        let (id, _) = resource_of(tags)?;
        self.all.get_mut(&id)
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

    /// The request that made something, in the version that its tags tell of.
    fn wanted(&self, tags: &[Tag]) -> Option<&Request> {
        let (id, digest) = resource_of(tags)?;
        self.wanted.version(&id, digest)
    }

    /// The parts that tags tell of, where they are there indeed, with what is other about them than the
    /// request that made them says, where that is known.
    fn parts(
        &mut self,
        tags: &[Tag],
        drift: impl Fn(&ResourceId, Option<&Request>) -> Drift,
    ) -> Vec<ResourceId> {
        self.parts_of(tags, tags, drift)
    }

    /// The same, on account of whoever has other tags.
    pub(super) fn parts_of(
        &mut self,
        tags: &[Tag],
        whose: &[Tag],
        drift: impl Fn(&ResourceId, Option<&Request>) -> Drift,
    ) -> Vec<ResourceId> {
        let owner = tag(whose, OWNER).and_then(owner);
        let mut ids = Vec::new();
        for part in tags.iter().filter(|tag| tag.key.starts_with(PART)) {
            let Some((digest, id)) = part.value.split_once(' ') else { continue };
            let (Ok(id), digest) = (ResourceId::new(id), digest.parse().ok()) else { continue };
            let Some(drift) = drift(&id, self.wanted.version(&id, digest)) else { continue };
            let mut observed = Observed::new(id.clone(), digest);
            observed.owner.clone_from(&owner);
            observed.kept_by = history(tags);
            observed.drift = drift;
            self.all.insert(id.clone(), observed);
            ids.push(id);
        }
        ids
    }
}
