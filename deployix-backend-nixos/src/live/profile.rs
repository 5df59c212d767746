//! One functionality alone, as a profile next to the system of its machine.

use deployix_core::{
    Name, ResourceId,
    backend::{Action, BackendError, ErrorKind, Owner, Step, StepContext},
};
use deployix_transport::{Command, Entry, put};

use super::{
    Connections, build,
    change::{self, Change, Put},
    command::{error, failed, followed, script},
    host::{Failure, Host, Machine},
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
            profile.deploy(step::machine(step, index), &wanted).await
        };
        applied.map_err(|error| if done == 0 { error } else { Failure::in_part(error) })?;
    }
    Ok(())
}

/// Removes the profile that a functionality was before it became a part of the system.
pub(super) async fn leave(
    host: &Host,
    step: &Step<'_>,
    functionality: &Name,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), BackendError> {
    let profile = Profile { host, step, functionality, tell };
    let look = "[ ! -L \"/nix/var/nix/profiles/deployix/$1/$2\" ] || echo profile";
    let names = [step.deployment.as_str(), functionality.as_str()];
    if profile.run("look", script(look, "look", &names)).await?.is_empty() {
        return Ok(());
    }
    profile.remove_units().await
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

    /// Takes it out of the machine's system, where it was a part of that.
    async fn leave_system(&self, machine: Machine) -> Result<(), BackendError> {
        let id = self.step.resource.id().as_str().replacen("/profile/", "/module/", 1);
        let Ok(id) = ResourceId::new(id) else { return Ok(()) };
        let (deployment, name) = (machine.deployment.as_str(), machine.name.as_str());
        let look = "cd /var/lib/deployix/system 2>/dev/null && [ \"$(cat owner)\" = \"$1 $2\" ] && \
                    [ -e \"current/resources/$3\" ] && echo part || true";
        let look = script(look, "look", &[deployment, name, &Record::file(&id)]);
        if self.run("look", look).await?.is_empty() {
            return Ok(());
        }
        let leaves = Change::Remove { id, secrets_of: None };
        self.host.change(machine, leaves, self.tell).await
    }

    async fn deploy(&self, machine: Machine, wanted: &Put) -> Result<(), BackendError> {
        let folder = format!("{}/{}", self.folder(), self.functionality);
        let built = self.build(&folder, wanted).await.map_err(BackendError::as_it_was)?;
        self.leave_system(machine).await?;
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
        self.remove_units().await?;
        let secrets = compile::secrets(self.step.deployment, self.functionality);
        // They are those of the system's part now, where it became one.
        let id = self.step.resource.id().as_str().replacen("/profile/", "/module/", 1);
        let part = id.replace('/', "~") + ".json";
        let remove = "[ -e \"/var/lib/deployix/system/current/resources/$2\" ] || rm -rf -- \"$1\"";
        self.run("remove", script(remove, "remove", &[&secrets, &part])).await.map(drop)
    }

    /// Removes all but the secrets.
    async fn remove_units(&self) -> Result<(), BackendError> {
        let (deployment, name) = (self.step.deployment, self.functionality);
        self.change(&["remove", deployment.as_str(), name.as_str()]).await?;
        let id = self.step.resource.id().as_str().replacen("/module/", "/profile/", 1);
        let record =
            ResourceId::new(id).map(|id| format!("{}/{}", self.folder(), Record::file(&id)));
        let gone = record.into_iter().chain([format!("{}/{name}", self.folder())]);
        let remove = Command::new("rm").args(["-rf", "--"]).args(gone);
        self.run("remove", remove).await.map(drop)
    }
}
