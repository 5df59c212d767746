//! A machine that takes the place of another, and that one put back where it does not start.
//!
//! The two cannot stand side by side: the network interface, and with it the address, is the primary
//! one of either, and AWS detaches no primary interface, not even of a stopped machine (Amazon EC2
//! User Guide, "Attach and detach a network interface"). So stopping the old machine would not free
//! it, and it has to be ended. Before that AWS is asked whether it would start the new one. Where that
//! does not start all the same, a machine is started from the old launch template, which stands until
//! the new machine runs.

use deployix_core::backend::{BackendError, Resource};

use super::{
    call::Write,
    disk::attached,
    error::is_hopeless,
    job::{DIGEST, Job, Outputs, tag},
    kind::{Kind, converge, is_standing, made_as, one_at_most, own, remove},
    machine::under_way,
    part::bring_address,
    shape::{Instance, LaunchTemplate, TargetGroup, Volume},
    target::{enter, healthy, targets},
};
use crate::{
    assemble::STATE_DEVICE,
    request::{AttachVolume, InstanceId, Request, RunInstances},
    resource,
};

/// Makes a machine what it should be; where it cannot take the place of the one before, that one is
/// kept or put back.
pub(super) async fn run(job: &Job<'_>, request: &RunInstances) -> Result<Outputs, BackendError> {
    let Some(replaced) = job.replaced else { return converge::<Instance>(job, request).await };
    let before: Vec<Instance> = made_as(job, job.id.as_str()).await?;
    let stands = before.iter().any(|it| is_standing(it) && it.fits(job, request));
    let mut seats = Vec::new();
    if !before.is_empty() && !stands {
        job.aws.would_make(request.clone().into()).await?;
        seats = seats_of(job, &before).await?;
    }
    let mut marked = request.clone();
    Instance::add_tags(&mut marked, &[under_way()]);
    let takes_its_place = async {
        if !stands {
            remove::<Instance>(job).await?;
            let interfaces = request.network_interfaces.iter();
            for interface in interfaces.filter_map(|it| it.network_interface_id.as_ref()) {
                bring_address(job, interface).await?;
            }
        }
        converge::<Instance>(job, &marked).await
    };
    match takes_its_place.await {
        Err(error) if is_hopeless(&error) => {
            Err(put_back(job, request, replaced, &seats, error).await)
        }
        outcome => outcome,
    }
}

/// A place in a target group, at a port.
#[derive(Debug)]
struct Seat {
    group: TargetGroup,
    port: u16,
}

/// Where machines take part.
async fn seats_of(job: &Job<'_>, machines: &[Instance]) -> Result<Vec<Seat>, BackendError> {
    let mut seats = Vec::new();
    for group in own::<TargetGroup>(job, None).await? {
        for target in targets(&job.aws, &group.target_group_arn).await? {
            if machines.iter().any(|machine| machine.instance_id == target.id) {
                seats.push(Seat { group: group.clone(), port: target.port });
            }
        }
    }
    Ok(seats)
}

/// Starts a machine like the one before in place of one that does not start, and tells what became of
/// it.
async fn put_back(
    job: &Job<'_>,
    request: &RunInstances,
    replaced: &Resource,
    seats: &[Seat],
    error: BackendError,
) -> BackendError {
    let outcome = match again(job, request, replaced, seats).await {
        Ok(None) => return error,
        Ok(Some(id)) => format!(
            "the new machine does not start; {id}, started from the launch template before, runs in \
             its place as it did"
        ),
        Err(second) => format!(
            "the new machine does not start, and the one before does not come back either \
             ({second}): deploy again"
        ),
    };
    // Trying the same again would only take the old one away again.
    BackendError::permanent(error.kind(), "RunInstances", outcome).caused_by(error)
}

/// Makes the machine before serve again, with its disk and in its places: the one that stands, or
/// another that is started, whose id is told.
async fn again(
    job: &Job<'_>,
    request: &RunInstances,
    replaced: &Resource,
    seats: &[Seat],
) -> Result<Option<InstanceId>, BackendError> {
    let Ok(Request::RunInstances(mut old)) = resource::request(replaced.inputs()) else {
        return Ok(None);
    };
    old.network_interfaces.clone_from(&request.network_interfaces);
    let job = job.back_to(replaced);
    if let Some(machine) = before(&job).await? {
        serves(&job, &machine.instance_id, seats).await?;
        machine.rests(&job).await?;
        return Ok(None);
    }
    let templates: Vec<LaunchTemplate> = own(&job, Some(&job.sibling("launch-template"))).await?;
    let name = &old.launch_template.launch_template_name;
    if *name == request.launch_template.launch_template_name
        || !templates.iter().any(|it| it.launch_template_name == *name)
    {
        return Ok(None);
    }
    converge::<Instance>(&job, &old).await?;
    let Some(machine) = before(&job).await? else { return Ok(None) };
    serves(&job, &machine.instance_id, seats).await?;
    Ok(Some(machine.instance_id))
}

/// The machine that a step made, where it stands.
async fn before(job: &Job<'_>) -> Result<Option<Instance>, BackendError> {
    let all: Vec<Instance> = made_as(job, job.id.as_str()).await?;
    let is_before =
        |it: &&Instance| is_standing(*it) && tag(&it.tags, DIGEST) == Some(&*job.digest);
    Ok(all.iter().find(is_before).cloned())
}

/// Gives a machine its disk and its places, and waits until it is healthy there.
async fn serves(job: &Job<'_>, machine: &InstanceId, seats: &[Seat]) -> Result<(), BackendError> {
    let disk = job.sibling("volume");
    let volumes: Vec<Volume> = made_as(job, &disk).await?;
    one_at_most(&disk, &volumes)?;
    for volume in volumes.into_iter().filter(is_standing) {
        let attach = AttachVolume {
            volume_id: volume.volume_id.into(),
            instance_id: machine.clone().into(),
            device: STATE_DEVICE.to_owned(),
        };
        attached(job, &attach).await?;
        // It may have lost its protection on the way out.
        let instance_id = machine.clone();
        let protect = Write::ModifyInstanceAttribute { instance_id, disable_api_termination: true };
        job.aws.write(protect).await?;
    }
    for Seat { group, port } in seats {
        enter(job, &group.target_group_arn, machine, *port).await?;
    }
    for Seat { group, .. } in seats {
        healthy(job, group, |target| target.id == *machine).await?;
    }
    Ok(())
}
