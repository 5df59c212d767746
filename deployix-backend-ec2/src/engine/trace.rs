//! What load balancers leave behind: their network interfaces go a while after them, and hold
//! subnets, security groups and the network's gateway until then.

use std::time::Duration;

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    balancer::name_and_id,
    call::{Filter, Write},
    caller::Caller,
    job::Job,
    shape::{LoadBalancer, NetworkInterface},
    wait::Waiting,
};

/// How long AWS may take to remove what a load balancer leaves; minutes are usual.
const GONE_WITHIN: Duration = Duration::from_secs(900);

/// What to do about interfaces that stay.
const LEFT: &str = "look at them in AWS's console, where only AWS removes them";

/// A load balancer's interfaces, one for each zone, which AWS describes as
/// `ELB net/NAME/ID` (Elastic Load Balancing User Guide for Network Load Balancers, "Network
/// interfaces"); of all that ever had a name, where the id is `*`.
pub(super) async fn interfaces(
    aws: &Caller<'_>,
    name_and_id: &str,
) -> Result<Vec<NetworkInterface>, BackendError> {
    aws.all(vec![Filter::new("description", [format!("ELB {name_and_id}")])]).await
}

/// How interfaces are seen that load balancers left.
fn left(interfaces: &[NetworkInterface]) -> String {
    let told = interfaces.iter().map(|it| {
        let NetworkInterface { network_interface_id, description, status, .. } = it;
        format!("{network_interface_id} ({description}) is {status}")
    });
    told.collect::<Vec<_>>().join("; ")
}

/// The interfaces that a load balancer leaves go a while after it, and hold its subnets and groups.
pub(super) async fn gone(job: &Job<'_>, names: &[String]) -> Result<(), BackendError> {
    let Some(first) = names.first() else { return Ok(()) };
    let what = format!("the network interfaces of load balancer {first} to go");
    let mut wait = Waiting::new(&job.aws, GONE_WITHIN, what);
    for name in names {
        loop {
            let interfaces = interfaces(&job.aws, name).await?;
            if interfaces.is_empty() {
                break;
            }
            if !wait.go_on(left(&interfaces)).await {
                return Err(wait.over("DescribeNetworkInterfaces", LEFT));
            }
        }
    }
    Ok(())
}

/// Removes something that interfaces of load balancers may hold, those that match `holding`. The
/// load balancer may have been removed by a step that was cut off, so nobody else waited for them.
pub(super) async fn remove(
    job: &Job<'_>,
    write: Write,
    holding: Filter,
) -> Result<(), BackendError> {
    match job.aws.remove(write.clone()).await {
        Err(error) if error.kind() == ErrorKind::Conflict => {
            if waited_for(job, holding).await? {
                return job.aws.remove(write).await;
            }
            Err(error)
        }
        other => other,
    }
}

/// Waits until the interfaces of load balancers that stand no more are gone; whether there were any.
async fn waited_for(job: &Job<'_>, holding: Filter) -> Result<bool, BackendError> {
    let filters = vec![holding, Filter::new("description", ["ELB *"])];
    let standing: Vec<LoadBalancer> = job.aws.all(Vec::new()).await?;
    let stands = |interface: &NetworkInterface| {
        let own = interface.description.strip_prefix("ELB ");
        standing.iter().any(|it| Some(name_and_id(&it.load_balancer_arn)) == own)
    };
    let what = "the network interfaces to go that a load balancer left";
    let mut wait = Waiting::new(&job.aws, GONE_WITHIN, what);
    let mut any = false;
    loop {
        let mut all: Vec<NetworkInterface> = job.aws.all(filters.clone()).await?;
        all.retain(|it| !stands(it));
        if all.is_empty() {
            return Ok(any);
        }
        if !wait.go_on(left(&all)).await {
            return Err(wait.over("DescribeNetworkInterfaces", LEFT));
        }
        any = true;
    }
}
