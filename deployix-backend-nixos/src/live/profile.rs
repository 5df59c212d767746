//! One functionality alone, as a profile next to the system of its machine.

use deployix_core::{
    Name,
    backend::{Action, BackendError, ErrorKind, Owner, Step, StepContext},
};
use deployix_transport::{Command, Entry, put};

use super::{
    Connections, build,
    change::{self, Put},
    command::{error, failed, followed, script},
    host::{Failure, Host},
    record::Record,
    step,
};
use crate::{compile, profile::HOST_SCRIPT};

/// Where what profiles are built from is, and their records.
pub(super) const PROFILES: &str = "/var/lib/deployix/profiles";

/// Carries out a step of a profile, on one machine after the other.
pub(super) async fn apply(
    connections: &Connections,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<(), BackendError> {
    let Owner::Functionality(functionality) = step.resource.owner() else {
        return Err(step::unreadable("it is no functionality's"));
    };
    let removed = matches!(step.action, Action::Remove);
    for (done, (index, goes)) in step::machines_of(step)?.into_iter().enumerate() {
        let host = connections.host(step.site.target, index)?;
        let tell = |line: &str| context.tell(line);
        let profile = Profile { host: &host, step, functionality, tell: &tell };
        let applied = if goes || removed {
            profile.remove().await
        } else {
            let wanted = step::put(step, None, context).await?;
            profile.deploy(&wanted).await
        };
        applied.map_err(|error| if done == 0 { error } else { Failure::in_part(error) })?;
    }
    Ok(())
}

struct Profile<'a> {
    host: &'a Host,
    step: &'a Step<'a>,
    functionality: &'a Name,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl Profile<'_> {
    fn folder(&self) -> String {
        format!("{PROFILES}/{}", self.step.deployment)
    }

    fn record(&self) -> String {
        format!("{}/{}", self.folder(), Record::file(self.step.resource.id()))
    }

    async fn run(
        &self,
        operation: &'static str,
        command: Command,
    ) -> Result<Vec<u8>, BackendError> {
        super::command::run(&*self.host.transport, operation, command, self.tell).await
    }

    async fn deploy(&self, wanted: &Put) -> Result<(), BackendError> {
        let folder = format!("{}/{}", self.folder(), self.functionality);
        let built = self.build(&folder, wanted).await.map_err(BackendError::as_it_was)?;
        self.change(&[
            "deploy",
            self.step.deployment.as_str(),
            self.functionality.as_str(),
            &built,
        ])
        .await?;
        let record = Entry::file(self.record(), wanted.record.line(), 0o644);
        let written = put(&*self.host.transport, &[record]).await;
        written.map_err(|cause| error("write record", cause))
    }

    /// Puts what the profile is made of on the machine and builds it.
    async fn build(&self, folder: &str, wanted: &Put) -> Result<String, BackendError> {
        let flake = format!("{folder}/flake");
        // The lock of what it takes from elsewhere stays.
        let clear = "mkdir -p \"$1\" && find \"$1\" -mindepth 1 ! -name flake.lock -delete";
        self.run("prepare", script(clear, "prepare", &[&flake])).await?;
        let mut entries = change::entries(&flake, &wanted.files);
        if let Some(secrets) = &wanted.secrets {
            entries.extend(secrets.entries(self.step.deployment));
        }
        let done = put(&*self.host.transport, &entries).await;
        done.map_err(|cause| super::command::not_put(self.host, cause))?;
        let system = step::text(self.step.inputs, "system")?;
        let what = format!("packages.\"{system}\".\"{}\"", self.functionality);
        let here = step::text(self.step.inputs, "build")? == "here";
        build::built(self.host, folder, &what, here, self.tell).await
    }

    /// Goes from one version to the next.
    async fn change(&self, arguments: &[&str]) -> Result<(), BackendError> {
        let command = Command::new("sh").args(["-s", "--"]).args(arguments.iter().copied());
        let output = followed(&*self.host.transport, command.stdin(HOST_SCRIPT), self.tell).await;
        let output = output.map_err(|cause| error("activate", cause))?;
        let failure = || failed("activate", self.host.transport.host(), &output);
        match output.status.code() {
            0 => Ok(()),
            1 | 2 => Err(failure().as_it_was()),
            4 => {
                let message = failure().to_string();
                Err(BackendError::temporary(ErrorKind::Conflict, "activate", message).as_it_was())
            }
            _ => Err(failure()),
        }
    }

    async fn remove(&self) -> Result<(), BackendError> {
        let (deployment, name) = (self.step.deployment, self.functionality);
        self.change(&["remove", deployment.as_str(), name.as_str()]).await?;
        let gone = [
            self.record(),
            format!("{}/{name}", self.folder()),
            compile::secrets(deployment, name),
        ];
        let remove = Command::new("rm").args(["-rf", "--"]).args(gone);
        self.run("remove", remove).await.map(drop)
    }
}
