//! What load balancers leave behind: their network interfaces go a while after them, and hold
//! subnets, security groups and the network's gateway until then.

use std::time::Duration;

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    balancer::{LEFT, left, name_and_id},
    call::{Filter, Write},
    job::Job,
    shape::{LoadBalancer, NetworkInterface},
    wait::Waiting,
};

/// How long AWS may take to remove what a load balancer leaves; minutes are usual.
const GONE_WITHIN: Duration = Duration::from_secs(900);

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
