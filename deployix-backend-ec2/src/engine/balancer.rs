//! Load balancers, target groups, listeners.

use std::time::Duration;

use deployix_core::backend::BackendError;

use super::{
    call::{Filter, Write},
    caller::{Caller, TaggedApart},
    job::{Job, Outputs, all_known, is_made_for, tag},
    kind::{self, Kind, Once, State, made_as, named, own},
    network::output,
    shape::{Listener, LoadBalancer, TargetGroup},
    target, trace,
    wait::Waiting,
};
use crate::{
    naming::{DEPLOYMENT, RESOURCE},
    request::{
        BalancerDnsName, BalancerZoneId, CreateListener, CreateLoadBalancer, LoadBalancerArn,
        Output, PrivateIp, Service, Tag,
    },
};

macro_rules! tagged_apart {
    ($($type:ident: $arn:ident,)*) => {$(
        impl TaggedApart for $type {
            fn arn(&self) -> &str {
                &self.$arn
            }

            fn tags_mut(&mut self) -> &mut Vec<Tag> {
                &mut self.tags
            }
        }
    )*};
}

tagged_apart! {
    LoadBalancer: load_balancer_arn,
    TargetGroup: target_group_arn,
    Listener: listener_arn,
}

macro_rules! tags_of_balancing_requests {
    () => {
        const SERVICE: Service = Service::ElasticLoadBalancing;

        fn tags(&self) -> &[Tag] {
            &self.tags
        }

        fn add_tags(request: &mut Self::Request, tags: &[Tag]) {
            request.tags.extend_from_slice(tags);
            request.tags.sort();
        }

        fn compiled_tags(request: &Self::Request) -> Vec<Tag> {
            request.tags.clone()
        }
    };
}

pub(super) use tags_of_balancing_requests;

/// This API has no filters by tag, so all are asked for; those by id are its own.
fn matching<T: TaggedApart>(all: Vec<T>, filters: &[Filter]) -> Vec<T> {
    let has = |thing: &mut T, filter: &Filter| match filter.name.strip_prefix("tag:") {
        Some(key) => {
            let value = tag(thing.tags_mut(), key).unwrap_or_default();
            filter.values.iter().any(|wanted| wanted == value)
        }
        None => true,
    };
    let mut all = all;
    all.retain_mut(|thing| filters.iter().all(|filter| has(thing, filter)));
    all
}

/// The filters that the API takes.
fn for_api(filters: &[Filter]) -> Vec<Filter> {
    filters.iter().filter(|filter| !filter.name.starts_with("tag:")).cloned().collect()
}

pub(super) async fn find<T: super::call::Described + TaggedApart>(
    aws: &Caller<'_>,
    filters: Vec<Filter>,
) -> Result<Vec<T>, BackendError> {
    let all = aws.with_tags(for_api(&filters)).await?;
    Ok(matching(all, &filters))
}

impl Kind for LoadBalancer {
    type Request = CreateLoadBalancer;

    const NOUN: &'static str = "the load balancer";
    const ONCE: Once = Once::Name;
    const LINGERS: bool = true;
    const READY_WITHIN: Duration = Duration::from_secs(900);
    const READY: &'static str = "to be active";

    tags_of_balancing_requests!();

    fn id(&self) -> String {
        self.load_balancer_arn.clone()
    }

    /// Its name holds the digest of what cannot be changed.
    fn fits(&self, _: &Job<'_>, request: &CreateLoadBalancer) -> bool {
        self.load_balancer_name == request.name
    }

    fn state(&self) -> State {
        match self.state.as_str() {
            "active" | "active_impaired" => State::Ready,
            "failed" => State::Failed("AWS could not make it".to_owned()),
            other => State::Pending(format!("it is {other}")),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.state_reason.as_deref()
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([
            output(&LoadBalancerArn(self.load_balancer_arn.clone())),
            output(&BalancerDnsName(self.dns_name.clone())),
            output(&BalancerZoneId(self.canonical_hosted_zone_id.clone())),
        ])
    }

    fn settings(&self) -> String {
        let groups = self.security_groups.iter().map(ToString::to_string);
        let mut all: Vec<_> = self.subnets.iter().map(ToString::to_string).chain(groups).collect();
        all.sort();
        all.join(" ")
    }

    async fn find(aws: &Caller<'_>, filters: Vec<Filter>) -> Result<Vec<Self>, BackendError> {
        find(aws, filters).await
    }

    async fn adjust(
        &self,
        job: &Job<'_>,
        request: &CreateLoadBalancer,
    ) -> Result<bool, BackendError> {
        let arn = || self.load_balancer_arn.clone();
        let (mut wanted, mut subnets) = (all_known(&request.subnets)?, self.subnets.clone());
        wanted.sort();
        subnets.sort();
        let other_subnets = wanted != subnets;
        if other_subnets {
            // Of one zone, one subnet leaves before another is taken.
            let kept: Vec<_> = subnets.iter().filter(|it| wanted.contains(it)).cloned().collect();
            let leaves = kept.len() < subnets.len() && !kept.is_empty();
            let steps = [leaves.then_some(kept), Some(wanted)];
            for subnets in steps.into_iter().flatten() {
                let write = Write::SetSubnets { load_balancer_arn: arn(), subnets };
                job.aws.write(write).await?;
            }
        }
        let (mut wanted, mut groups) =
            (all_known(&request.security_groups)?, self.security_groups.clone());
        wanted.sort();
        groups.sort();
        let other_groups = wanted != groups;
        if other_groups {
            let write =
                Write::SetSecurityGroups { load_balancer_arn: arn(), security_groups: wanted };
            job.aws.write(write).await?;
        }
        let by_hand = job.mends() && stop_listening_by_hand(job, &self.load_balancer_arn).await?;
        Ok(other_subnets || other_groups || by_hand)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let load_balancer_arn = self.load_balancer_arn.clone();
        job.aws.remove(Write::DeleteLoadBalancer { load_balancer_arn }).await
    }
}

/// `net/NAME/ID`.
pub(super) fn name_and_id(arn: &str) -> &str {
    arn.split_once("loadbalancer/").map_or(arn, |(_, name)| name)
}

/// What a load balancer gives to others beside what is told of itself: its first address, once
/// its interfaces are there.
pub(super) async fn address(
    aws: &Caller<'_>,
    arn: &str,
) -> Result<Option<(String, String)>, BackendError> {
    let interfaces = trace::interfaces(aws, name_and_id(arn)).await?;
    let first = interfaces.iter().map(|it| it.private_ip_address).min();
    Ok(first.map(|address| output(&PrivateIp(address))))
}

impl Kind for Listener {
    type Request = CreateListener;

    const NOUN: &'static str = "the listener";
    const ONCE: Once = Once::Name;
    // That of a load balancer before goes once the machines behind this one serve.
    const LINGERS: bool = true;

    tags_of_balancing_requests!();

    fn id(&self) -> String {
        self.listener_arn.clone()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateListener) -> bool {
        request.load_balancer_arn.known().is_some_and(|arn| arn.0 == self.load_balancer_arn)
    }

    fn outputs(&self) -> Outputs {
        Outputs::new()
    }

    fn settings(&self) -> String {
        let targets = self.default_actions.iter().filter_map(|it| it.target_group_arn.known());
        let targets: Vec<_> = targets.map(ToString::to_string).collect();
        format!("{} {} to {}", self.protocol, self.port, targets.join(" "))
    }

    /// Listeners are told for one load balancer at a time, so those of the deployment's are asked.
    async fn find(aws: &Caller<'_>, filters: Vec<Filter>) -> Result<Vec<Self>, BackendError> {
        if filters.iter().any(|filter| !filter.name.starts_with("tag:")) {
            return find(aws, filters).await;
        }
        let of_deployment = format!("tag:{DEPLOYMENT}");
        let balancers = filters.iter().filter(|filter| filter.name == of_deployment).cloned();
        let balancers: Vec<LoadBalancer> = find(aws, balancers.collect()).await?;
        let mut all = Vec::new();
        for balancer in balancers {
            let some = listeners_of(aws, &balancer.load_balancer_arn).await?;
            all.extend(matching(some, &filters));
        }
        Ok(all)
    }

    async fn adjust(&self, job: &Job<'_>, request: &CreateListener) -> Result<bool, BackendError> {
        let same = self.port == request.port
            && self.protocol == request.protocol
            && self.default_actions == request.default_actions;
        if same {
            return Ok(false);
        }
        let write = Write::ModifyListener {
            listener_arn: self.listener_arn.clone(),
            port: request.port,
            protocol: request.protocol.clone(),
            default_actions: request.default_actions.clone(),
        };
        job.aws.write(write).await?;
        Ok(true)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws.remove(Write::DeleteListener { listener_arn: self.listener_arn.clone() }).await
    }
}

/// Everything that a load balancer listens with, whoever made it.
pub(super) async fn listeners_of(
    aws: &Caller<'_>,
    load_balancer_arn: &str,
) -> Result<Vec<Listener>, BackendError> {
    find(aws, vec![Filter::new("load-balancer-arn", [load_balancer_arn])]).await
}

/// Removes what somebody made a load balancer of this deployment listen with; tells whether there was
/// anything.
async fn stop_listening_by_hand(
    job: &Job<'_>,
    load_balancer_arn: &str,
) -> Result<bool, BackendError> {
    let mut by_hand = listeners_of(&job.aws, load_balancer_arn).await?;
    by_hand.retain(|listener| !is_made_for(job.deployment(), &listener.tags));
    for listener in &by_hand {
        listener.remove(job).await?;
    }
    Ok(!by_hand.is_empty())
}

fn leads_to(listener: &Listener, target_group_arn: &str) -> bool {
    let mut groups = listener.default_actions.iter().filter_map(|it| it.target_group_arn.known());
    groups.any(|arn| arn.0 == target_group_arn)
}

/// Waits until the machines serve that a listener leads to, and removes what it was before: the
/// listener of another load balancer, and load balancers and target groups that no other leads from
/// or to any more.
pub(super) async fn listens(job: &Job<'_>, request: &CreateListener) -> Result<(), BackendError> {
    let balancer = &super::job::known(&request.load_balancer_arn)?.0;
    let groups: Vec<TargetGroup> = own(job, None).await?;
    let groups = groups.iter();
    let wanted = |group: &&TargetGroup| {
        let mut actions = request.default_actions.iter();
        actions
            .any(|it| it.target_group_arn.known().is_some_and(|it| it.0 == group.target_group_arn))
    };
    let mut roles = Vec::new();
    for group in groups.clone().filter(wanted) {
        target::healthy_behind_listener(job, group).await?;
        roles.extend(tag(&group.tags, RESOURCE));
    }
    for old in own::<Listener>(job, Some(job.id.as_str())).await? {
        if old.load_balancer_arn != *balancer || old.port != request.port {
            old.remove(job).await?;
        }
    }
    let listeners: Vec<Listener> = own(job, None).await?;
    let balancers: Vec<LoadBalancer> = own(job, None).await?;
    let now = balancers.iter().find(|it| it.load_balancer_arn == *balancer);
    let is_old = |it: &&LoadBalancer| {
        it.load_balancer_arn != *balancer && now.is_some_and(|now| is_same_resource(now, it))
    };
    for old in balancers.iter().filter(is_old).map(|it| &it.load_balancer_arn) {
        if !listeners.iter().any(|it| it.load_balancer_arn == *old) {
            remove_balancer(job, old).await?;
        }
    }
    let has_role =
        |group: &&TargetGroup| tag(&group.tags, RESOURCE).is_some_and(|role| roles.contains(&role));
    for old in groups.filter(has_role).filter(|group| !wanted(group)) {
        if !listeners.iter().any(|it| leads_to(it, &old.target_group_arn)) {
            old.remove(job).await?;
        }
    }
    Ok(())
}

fn is_same_resource(one: &LoadBalancer, other: &LoadBalancer) -> bool {
    tag(&one.tags, RESOURCE) == tag(&other.tags, RESOURCE)
}

/// Removes a listener, and what it was the last one of that others have taken the place of: its load
/// balancer, and the target groups that it led to.
pub(super) async fn remove_listener(job: &Job<'_>) -> Result<(), BackendError> {
    let going: Vec<Listener> = made_as(job, job.id.as_str()).await?;
    kind::remove::<Listener>(job).await?;
    let listeners: Vec<Listener> = own(job, None).await?;
    let balancers: Vec<LoadBalancer> = own(job, None).await?;
    let is_among = |listeners: &[Listener], it: &LoadBalancer| {
        listeners.iter().any(|listener| listener.load_balancer_arn == it.load_balancer_arn)
    };
    let is_old = |it: &&LoadBalancer| is_among(&going, it) && !is_among(&listeners, it);
    for old in balancers.iter().filter(is_old) {
        let mut others = balancers.iter().filter(|it| is_same_resource(it, old));
        if others.any(|it| is_among(&listeners, it)) {
            remove_balancer(job, &old.load_balancer_arn).await?;
        }
    }
    let groups: Vec<TargetGroup> = own(job, None).await?;
    let role = |group: &TargetGroup| tag(&group.tags, RESOURCE).map(str::to_owned);
    let is_led_to =
        |group: &TargetGroup| listeners.iter().any(|it| leads_to(it, &group.target_group_arn));
    let was_led_to = |group: &&TargetGroup| {
        going.iter().any(|listener| leads_to(listener, &group.target_group_arn))
    };
    for old in groups.iter().filter(was_led_to) {
        if !is_led_to(old) && groups.iter().any(|it| role(it) == role(old) && is_led_to(it)) {
            old.remove(job).await?;
        }
    }
    Ok(())
}

/// Removes one load balancer until nothing of it is left.
async fn remove_balancer(job: &Job<'_>, arn: &str) -> Result<(), BackendError> {
    let load_balancer_arn = arn.to_owned();
    job.aws.remove(Write::DeleteLoadBalancer { load_balancer_arn }).await?;
    trace::gone(job, &[name_and_id(arn).to_owned()]).await
}

/// Removes a load balancer until nothing of it is left: its name, where it is known, tells of the
/// interfaces of one that a step removed before it was cut off.
pub(super) async fn remove(job: &Job<'_>, name: Option<&str>) -> Result<(), BackendError> {
    let going: Vec<LoadBalancer> = made_as(job, job.id.as_str()).await?;
    let going = going.iter().map(|it| name_and_id(&it.load_balancer_arn).to_owned());
    let gone_before = name.map(|name| format!("net/{name}/*"));
    let names: Vec<_> = going.chain(gone_before).collect();
    kind::remove::<LoadBalancer>(job).await?;
    trace::gone(job, &names).await
}

/// The outputs of a load balancer once its interfaces are there.
pub(super) async fn outputs(job: &Job<'_>, mut outputs: Outputs) -> Result<Outputs, BackendError> {
    let Some(arn) = outputs.get(LoadBalancerArn::NAME).cloned() else { return Ok(outputs) };
    let what = format!("the network interfaces of {} to be shown", named::<LoadBalancer>(&arn));
    let mut wait = Waiting::new(&job.aws, Duration::from_secs(300), what);
    loop {
        if let Some(address) = address(&job.aws, &arn).await? {
            outputs.extend([address]);
            return Ok(outputs);
        }
        if !wait.go_on("AWS shows none").await {
            return Err(wait.over("DescribeNetworkInterfaces", &LoadBalancer::look_at(&arn)));
        }
    }
}
