//! The machines in a target group: how they come, how they are, how they leave.

use std::time::Duration;

use deployix_core::backend::BackendError;

use super::{
    call::{Filter, Write},
    caller::Caller,
    job::{Job, Outputs, all_known, tag},
    kind::{Kind, named},
    part::{Attempts, attempt, done, whole},
    shape::{AutoScalingGroup, Instance, TargetGroup, TargetHealth},
    wait::Waiting,
};
use crate::request::{
    AttachLoadBalancerTargetGroups, CreateTargetGroup, InstanceId, RegisterTargets,
    TargetDescription, TargetGroupArn,
};

/// How long after its machine was started a program may take until it serves: it is installed at the
/// first boot. What the checks themselves take is added.
const SERVES_WITHIN: Duration = Duration::from_secs(1200);

/// How long a machine may take to leave: an hour is the longest delay that AWS takes (Elastic Load
/// Balancing API Reference, `TargetGroupAttribute`, `deregistration_delay.timeout_seconds`).
const LEAVES_WITHIN: Duration = Duration::from_secs(3600 + 300);

impl TargetHealth {
    /// It takes part, however it is.
    pub(super) fn is_in(&self) -> bool {
        !self.is_leaving() && !self.is_gone()
    }

    /// It ends what it is at, and gets nothing new.
    pub(super) fn is_leaving(&self) -> bool {
        self.state.contains("draining")
    }

    /// Why nobody is led to it, where that is its own: one that is not in use is not checked, or its machine
    /// tells why.
    pub(super) fn ill(&self) -> Option<String> {
        let Self { state, reason, .. } = self;
        let reason = reason.as_deref().unwrap_or("AWS does not say why");
        let is_ill = state != "healthy" && state != "unused";
        is_ill.then(|| format!("it is {state}: {reason}"))
    }

    /// How it is at its port, and why, as far as AWS says.
    fn how(&self) -> String {
        let Self { port, state, reason, description, .. } = self;
        let why = [description, reason].into_iter().flatten().cloned().collect::<Vec<_>>();
        let why = if why.is_empty() { "AWS does not say why".to_owned() } else { why.join(", ") };
        format!("at port {port} is {state}: {why}")
    }

    /// AWS tells for a moment of what has left.
    pub(super) fn is_gone(&self) -> bool {
        self.state == "unused" && self.reason.as_deref() == Some("Target.NotRegistered")
    }

    /// Nobody is led to its group, which is why nobody checks it.
    fn is_unasked(&self) -> bool {
        self.state == "unused" && self.reason.as_deref() == Some("Target.NotInUse")
    }
}

/// The machines of a target group.
pub(super) async fn targets(
    aws: &Caller<'_>,
    arn: &str,
) -> Result<Vec<TargetHealth>, BackendError> {
    aws.all(vec![Filter::new("target-group-arn", [arn])]).await
}

/// Lets a machine take part in a target group.
pub(super) async fn enter(
    job: &Job<'_>,
    arn: &str,
    machine: &InstanceId,
    port: u16,
) -> Result<(), BackendError> {
    let what = format!("{machine} to be behind {}", named::<TargetGroup>(arn));
    let mut attempts = Attempts::new(job, what);
    loop {
        let has = targets(&job.aws, arn).await?;
        let mut places = has.iter().filter(|it| it.id == *machine && it.port == port);
        if places.any(TargetHealth::is_in) {
            return Ok(());
        }
        let target_group_arn = TargetGroupArn(arn.to_owned()).into();
        let targets = vec![TargetDescription { id: machine.clone().into(), port }];
        attempt(job, RegisterTargets { target_group_arn, targets }, &mut attempts).await?;
    }
}

pub(super) async fn attach_scaling(
    job: &Job<'_>,
    request: &AttachLoadBalancerTargetGroups,
) -> Result<Outputs, BackendError> {
    let arns = all_known(&request.target_group_arns)?;
    let Some(arn) = arns.first() else { return Ok(Outputs::new()) };
    let group: TargetGroup = whole(job, &arn.0).await?;
    let name = &request.auto_scaling_group_name;
    let what = format!(
        "the machines of {} to be behind {}",
        named::<AutoScalingGroup>(name),
        named::<TargetGroup>(&arn.0)
    );
    let mut attempts = Attempts::new(job, what);
    loop {
        let scaling: AutoScalingGroup = whole(job, name).await?;
        if !scaling.target_group_arns.contains(&arn.0) {
            attempt(job, request.clone(), &mut attempts).await?;
            continue;
        }
        // Its machines are registered by AWS, after a while.
        let has = targets(&job.aws, &arn.0).await?;
        let mut machines = scaling.instances.iter().filter(|it| it.lifecycle_state == "InService");
        let missing = machines.find(|machine| !has.iter().any(|it| it.id == machine.instance_id));
        let Some(missing) = missing.map(|machine| machine.instance_id.clone()) else { break };
        if !attempts.go_on(format!("{missing} is not there")).await {
            return Err(attempts.over("DescribeTargetHealth", &AutoScalingGroup::look_at(name)));
        }
    }
    healthy(job, &group, |_| true).await?;
    done(job, &group).await
}

/// Waits until the machines of a target group serve, so that what is said to be done is done. Those
/// of a group that no listener leads to yet are not checked by AWS; its listener waits.
pub(super) async fn healthy(
    job: &Job<'_>,
    group: &TargetGroup,
    wanted: impl Fn(&TargetHealth) -> bool + Send + Sync,
) -> Result<(), BackendError> {
    all_healthy(job, group, |it| wanted(it) && !it.is_unasked()).await
}

/// Waits until all machines of a target group serve, though AWS may not have noticed yet that a
/// listener leads to it.
pub(super) async fn healthy_behind_listener(
    job: &Job<'_>,
    group: &TargetGroup,
) -> Result<(), BackendError> {
    all_healthy(job, group, |_| true).await
}

async fn all_healthy(
    job: &Job<'_>,
    group: &TargetGroup,
    wanted: impl Fn(&TargetHealth) -> bool + Send + Sync,
) -> Result<(), BackendError> {
    let settings = &group.settings;
    let checks = settings.health_check_interval_seconds * settings.healthy_threshold_count;
    let within = SERVES_WITHIN + Duration::from_secs(checks.into());
    let what =
        format!("machines of {} to be healthy", named::<TargetGroup>(&group.target_group_arn));
    let mut wait = Waiting::new(&job.aws, within, what);
    loop {
        let mut all = targets(&job.aws, &group.target_group_arn).await?;
        all.retain(|it| wanted(it) && it.is_in() && it.state != "healthy");
        if all.is_empty() {
            return Ok(());
        }
        if !wait.go_on(each(&all)).await {
            return Err(not_healthy(job, group, &all, wait).await?);
        }
    }
}

/// How each of some machines is.
fn each(targets: &[TargetHealth]) -> String {
    let told = targets.iter().map(|target| format!("{} {}", target.id, target.how()));
    told.collect::<Vec<_>>().join("; ")
}

/// Tells which machines do not serve, by their names, and why, as far as AWS says.
async fn not_healthy(
    job: &Job<'_>,
    group: &TargetGroup,
    ill: &[TargetHealth],
    mut wait: Waiting<'_>,
) -> Result<BackendError, BackendError> {
    let ids = ill.iter().map(|target| target.id.as_str());
    let machines: Vec<Instance> = job.aws.all(vec![Filter::new("instance-id", ids)]).await?;
    let told = ill.iter().map(|target| {
        let machine = machines.iter().find(|machine| machine.instance_id == target.id);
        let name = machine.and_then(|machine| tag(&machine.tags, "Name")).unwrap_or("a machine");
        format!("{name} ({}) {}", target.id, target.how())
    });
    wait.seen(told.collect::<Vec<_>>().join("; "));
    let CreateTargetGroup { health_check_protocol, health_check_port, .. } = &group.settings;
    let at = if health_check_port == CreateTargetGroup::EACH_ITS_OWN {
        "that port"
    } else {
        health_check_port
    };
    let at = at.parse::<u16>().map_or_else(|_| at.to_owned(), |port| format!("port {port}"));
    let first = ill.first().map_or("ID", |target| target.id.as_str());
    let to_do = format!(
        "checked over {health_check_protocol} at {at}: {} and at what its program says, whether it \
         listens there",
        Instance::look_at(first)
    );
    Ok(wait.over("DescribeTargetHealth", &to_do))
}

/// Takes machines out of a target group, and waits until they have ended what they were at.
pub(super) async fn leave(
    job: &Job<'_>,
    target_group_arn: &str,
    goes: impl Fn(&TargetHealth) -> bool + Send + Sync,
) -> Result<(), BackendError> {
    let what = format!("machines to leave {}", named::<TargetGroup>(target_group_arn));
    let mut wait = Waiting::new(&job.aws, LEAVES_WITHIN, what);
    loop {
        let all = targets(&job.aws, target_group_arn).await?;
        let going: Vec<_> = all.into_iter().filter(|it| goes(it) && !it.is_gone()).collect();
        if going.is_empty() {
            return Ok(());
        }
        let staying = going.iter().filter(|target| !target.is_leaving());
        let targets: Vec<_> = staying
            .map(|target| TargetDescription { id: target.id.clone().into(), port: target.port })
            .collect();
        if !targets.is_empty() {
            let target_group_arn = target_group_arn.to_owned();
            job.aws.ask(Write::DeregisterTargets { target_group_arn, targets }).await?;
        }
        if !wait.go_on(each(&going)).await {
            let to_do = "its connections do not end: have those who hold them end them, or set a shorter \
                         `extensions.ec2.deregistration-delay` of the load balancer";
            return Err(wait.over("DescribeTargetHealth", to_do));
        }
    }
}
