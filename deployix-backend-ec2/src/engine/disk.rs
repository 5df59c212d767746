//! How a disk with state gets to its machine and away from it.

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    call::{Filter, Write},
    job::{Job, Outputs, known, tag},
    kind::{Kind, check, named},
    part::{Attempts, Whole, attempt, done, whole},
    ready::ready,
    shape::{Instance, Volume},
    wait::went,
};
use crate::{
    naming::DEPLOYMENT,
    request::{AttachVolume, InstanceId},
};

pub(super) async fn attach_volume(
    job: &Job<'_>,
    request: &AttachVolume,
) -> Result<Outputs, BackendError> {
    let volume = attached(job, request).await?;
    done(job, &volume).await
}

/// A volume once it is attached to a machine that runs.
pub(super) async fn attached(
    job: &Job<'_>,
    request: &AttachVolume,
) -> Result<Volume, BackendError> {
    let (id, instance) = (known(&request.volume_id)?, known(&request.instance_id)?);
    let what = format!("{} to be attached to {instance}", named::<Volume>(id.as_str()));
    let mut attempts = Attempts::new(job, what);
    loop {
        let volume: Volume = whole(job, id.as_str()).await?;
        match volume.attachments.as_slice() {
            [it] if it.instance_id == *instance && it.device == request.device => {
                if it.state == "attached" {
                    // It may have been stopped to give the disk up, by a run that was cut off since.
                    return match ready::<Instance>(job, instance.as_str()).await? {
                        Ok(_) => Ok(volume),
                        Err(_) => Err(went("AttachVolume", format!("{instance} went meanwhile"))),
                    };
                }
                if !attempts.go_on(format!("it is {}", it.state)).await {
                    return Err(attempts.over("DescribeVolumes", &Volume::look_at(id.as_str())));
                }
            }
            [] => attempt(job, request.clone(), &mut attempts).await?,
            _ => match volume.detach(job).await? {
                // Another one of ours goes on without it.
                Some(stopped) if stopped != *instance => {
                    job.aws.ask(Write::StartInstances { instance_ids: vec![stopped] }).await?;
                }
                _ => {}
            },
        }
    }
}

impl Volume {
    /// Takes it from the machine of this deployment that it is attached to, and tells which one was
    /// stopped for that, so that everything it holds in memory gets onto the disk.
    ///
    /// # Errors
    /// A conflict where it is attached to a machine of somebody else, which is left as it is.
    async fn detach(&self, job: &Job<'_>) -> Result<Option<InstanceId>, BackendError> {
        let what = format!("{} to be detached", named::<Self>(self.volume_id.as_str()));
        let (mut attempts, mut stopped) = (Attempts::new(job, what), None);
        loop {
            let Some(volume) = found::<Self>(job, self.volume_id.as_str()).await? else {
                return Ok(stopped);
            };
            let Some(attachment) = volume.attachments.first() else { return Ok(stopped) };
            let id = &attachment.instance_id;
            let machine = found::<Instance>(job, id.as_str()).await?;
            let is_ours = machine.as_ref().is_some_and(|it| is_of_deployment(job, it));
            check(job, machine.as_slice())?;
            let is_detaching = attachment.state == "detaching";
            match machine.as_ref().map(|it| it.state.as_str()) {
                // Not shown yet, or not any more: it cannot be told whose it is.
                None => {}
                Some(_) if !is_ours && is_detaching => {}
                Some(_) if !is_ours => return Err(in_use_by_others(&volume, id)),
                Some("running" | "pending") => {
                    stopped = Some(id.clone());
                    job.aws.ask(Write::StopInstances { instance_ids: vec![id.clone()] }).await?;
                }
                Some("stopping" | "shutting-down") => {}
                Some(_) if is_detaching => {}
                Some(_) => {
                    let volume_id = self.volume_id.clone();
                    job.aws.ask(Write::DetachVolume { volume_id }).await?;
                }
            }
            let machine = machine.as_ref().map_or("which AWS does not show".to_owned(), |it| {
                format!("which is {}", it.state)
            });
            let how = format!("it is {} to {id}, {machine}", attachment.state);
            if !attempts.go_on(how).await {
                return Err(attempts.over("DescribeVolumes", &Instance::look_at(id.as_str())));
            }
        }
    }
}

fn is_of_deployment(job: &Job<'_>, machine: &Instance) -> bool {
    tag(&machine.tags, DEPLOYMENT) == Some(job.deployment().as_str())
}

fn in_use_by_others(volume: &Volume, machine: &InstanceId) -> BackendError {
    let volume = &volume.volume_id;
    let message = format!(
        "{volume} is attached to {machine}, which is no machine of this deployment and is left as it \
         is: detach the disk there once nobody needs it any more, and do this again"
    );
    BackendError::permanent(ErrorKind::Conflict, "DetachVolume", message)
}

impl Whole for Volume {
    async fn undo(&self, job: &Job<'_>) -> Result<(), BackendError> {
        self.detach(job).await.map(drop)
    }
}

async fn found<K: Kind>(job: &Job<'_>, id: &str) -> Result<Option<K>, BackendError> {
    let all = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, [id])]).await?;
    Ok(all.into_iter().find(|thing| thing.id() == id))
}
