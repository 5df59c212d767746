//! One functionality alone, as a profile next to the system of its machine.

use deployix_core::{
    Name,
    backend::{BackendError, ErrorKind, Step},
};
use deployix_transport::{Command, Entry, put};

use super::{
    build,
    change::{self, Change, Put},
    command::{error, failed, followed, script},
    host::{Host, Machine},
    record::Record,
    step,
};
use crate::{compile, profile::HOST_SCRIPT};

const PART: &str = include_str!("part.sh");

/// Where what profiles are built from is, and their records.
pub(super) const PROFILES: &str = "/var/lib/deployix/profiles";

/// A functionality as a profile on one machine.
pub(super) struct Profile<'a> {
    pub(super) host: &'a Host,
    pub(super) step: &'a Step<'a>,
    pub(super) functionality: &'a Name,
    pub(super) tell: &'a (dyn Fn(&str) + Sync),
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

    /// Takes it out of the machine's system, where it is a part of that, with these secrets.
    pub(super) async fn leave_system(
        &self,
        machine: Machine,
        secrets_of: Option<Name>,
    ) -> Result<(), BackendError> {
        let id = self.step.resource.id().clone();
        let (deployment, name) = (machine.deployment.as_str(), machine.name.as_str());
        let look = script(PART, "part", &[deployment, name, &Record::file(&id)]);
        if self.run("look", look).await?.is_empty() {
            return Ok(());
        }
        self.host.change(machine, Change::Remove { id, secrets_of }, self.tell).await
    }

    /// Makes it what is wanted.
    pub(super) async fn deploy(&self, machine: Machine, wanted: &Put) -> Result<(), BackendError> {
        let folder = format!("{}/{}", self.folder(), self.functionality);
        let built = self.build(&folder, wanted).await.map_err(BackendError::as_it_was)?;
        self.leave_system(machine, None).await?;
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

    /// Removes it, where it is there; its secrets too, which whatever takes its place brings anew.
    pub(super) async fn remove(&self) -> Result<(), BackendError> {
        let (deployment, name) = (self.step.deployment.as_str(), self.functionality.as_str());
        let look =
            "[ ! -L \"/nix/var/nix/profiles/deployix/$1/$2\" ] && [ ! -e \"$3\" ] || echo yes";
        let look = script(look, "look", &[deployment, name, &self.record()]);
        let there = self.run("look", look).await.map_err(BackendError::as_it_was)?;
        if there.is_empty() {
            return Ok(());
        }
        self.change(&["remove", deployment, name]).await?;
        let secrets = compile::secrets(self.step.deployment, self.functionality);
        let gone = [self.record(), format!("{}/{name}", self.folder()), secrets];
        let remove = Command::new("rm").args(["-rf", "--"]).args(gone);
        self.run("remove", remove).await.map(drop)
    }
}
