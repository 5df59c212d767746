//! One functionality alone, as a profile next to the system of its machine.

use std::time::Duration;

use deployix_core::{
    Name,
    backend::{BackendError, ErrorKind, Inputs, Keeper, Step},
};
use deployix_transport::{Command, Entry, put};

use super::{
    build,
    change::{self, Change, Put},
    command::{self, script},
    detached::{self, Detached},
    host::{Host, Machine},
    keeper,
    record::Record,
    switch,
};
use crate::{compile, profile::HOST_SCRIPT};

const PART: &str = include_str!("part.sh");
const PROFILE: &str = include_str!("profile.sh");

/// Where what profiles are built from is, and their records.
const PROFILES: &str = "/var/lib/deployix/profiles";

/// How long the machine may not answer while a profile is changed, which goes on meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// A functionality as a profile on one machine.
pub(super) struct Profile<'a> {
    pub(super) host: &'a Host,
    pub(super) step: &'a Step<'a>,
    pub(super) functionality: &'a Name,
    /// The history on whose account it is changed.
    pub(super) keeper: Option<&'a Keeper>,
    pub(super) tell: &'a (dyn Fn(&str) + Sync),
}

impl Profile<'_> {
    fn folder(&self) -> String {
        format!("{PROFILES}/{}", self.step.deployment)
    }

    fn record(&self) -> String {
        format!("{}/{}", self.folder(), Record::file(self.step.resource.id()))
    }

    /// What a look at the host prints.
    async fn said(&self, look: Command) -> Result<Vec<u8>, BackendError> {
        let said = self.host.run("look", look, self.tell).await;
        said.map_err(BackendError::as_it_was)
    }

    /// Refuses to touch what a record says that another history keeps.
    fn check(&self, record: &[u8]) -> Result<(), BackendError> {
        let host = self.host.transport.host();
        let records = Record::read(String::from_utf8_lossy(record).lines(), host)?;
        let what = format!("`{}` on {host}", self.functionality);
        keeper::check(self.keeper, self.step.deployment, &what, &records)
    }

    /// Whether it is a part of the machine's system, which is refused where another history keeps it.
    pub(super) async fn is_part(&self, machine: &Machine) -> Result<bool, BackendError> {
        let (deployment, name) = (machine.deployment.as_str(), machine.name.as_str());
        let record = Record::file(self.step.resource.id());
        let record = self.said(script(PART, "part", &[deployment, name, &record])).await?;
        self.check(&record)?;
        Ok(!record.is_empty())
    }

    /// The profile's record as it stands, empty where there is none; refused where another history
    /// keeps it.
    async fn standing(&self) -> Result<Vec<u8>, BackendError> {
        let look = script("[ ! -e \"$1\" ] || cat \"$1\"", "record", &[&self.record()]);
        let record = self.said(look).await?;
        self.check(&record)?;
        Ok(record)
    }

    /// Takes it out of the machine's system, with these secrets.
    pub(super) async fn leave_system(
        &self,
        machine: Machine,
        secrets_of: Option<Name>,
    ) -> Result<(), BackendError> {
        let id = self.step.resource.id().clone();
        self.host.change(machine, Change::Remove { id, secrets_of }, self.tell).await
    }

    /// Whether it is a profile there.
    pub(super) async fn is_there(&self) -> Result<bool, BackendError> {
        let (deployment, name) = (self.step.deployment.as_str(), self.functionality.as_str());
        let look =
            "[ ! -L \"/nix/var/nix/profiles/deployix/$1/$2\" ] && [ ! -e \"$3\" ] || echo yes";
        let look = script(look, "look", &[deployment, name, &self.record()]);
        Ok(!self.said(look).await?.is_empty())
    }

    /// Puts what a version is made of on the machine and builds it.
    pub(super) async fn build(
        &self,
        wanted: &Put,
        inputs: &Inputs,
    ) -> Result<String, BackendError> {
        self.standing().await?;
        let folder = format!("{}/{}", self.folder(), self.functionality);
        let flake = format!("{folder}/flake");
        // The lock of what it takes from elsewhere stays.
        let clear = "umask 022; mkdir -p \"$1\" && \
                     find \"$1\" -mindepth 1 ! -name flake.lock -delete";
        self.host.run("prepare", script(clear, "prepare", &[&flake]), self.tell).await?;
        let mut entries = change::entries(&flake, &wanted.files);
        if let Some(secrets) = &wanted.secrets {
            entries.extend(secrets.entries(self.step.deployment));
        }
        let done = put(&*self.host.transport, &entries).await;
        done.map_err(|cause| command::not_put(self.host, cause))?;
        let system = inputs.text("system")?;
        let what = format!("packages.\"{system}\".\"{}\"", self.functionality);
        let here = inputs.text("build")? == "here";
        build::built(self.host, &folder, &what, here, self.tell).await
    }

    /// Goes to a version that is built, or back where that does not start.
    pub(super) async fn activate(&self, wanted: &Put, built: &str) -> Result<(), BackendError> {
        self.change("deploy", &[built], Some(wanted.record.built_to(built))).await?;
        if let Some(secrets) = &wanted.secrets {
            let forget = change::forget(self.step.deployment, vec![secrets.kept()]);
            self.host.run("remove secrets", forget, self.tell).await?;
        }
        Ok(())
    }

    /// Has the machine change it by itself, so that it is done whatever becomes of the connection.
    async fn change(
        &self,
        action: &str,
        arguments: &[&str],
        record: Option<Record>,
    ) -> Result<(), BackendError> {
        let run = format!("p-{}", switch::token());
        let folder = detached::folder(&run);
        let standing = self.standing().await?;
        let mut entries = vec![
            Entry::file(format!("{folder}/host"), HOST_SCRIPT, 0o600),
            Entry::file(format!("{folder}/standing"), standing, 0o600),
        ];
        entries.extend(
            record.map(|record| Entry::file(format!("{folder}/record"), record.line(), 0o644)),
        );
        let done = put(&*self.host.transport, &entries).await;
        done.map_err(|cause| command::not_put(self.host, cause).as_it_was())?;
        let (deployment, name) = (self.step.deployment.as_str(), self.functionality.as_str());
        let place = self.record();
        let arguments = [&[place.as_str(), action, deployment, name], arguments].concat();
        let mut change =
            Detached::start(self.host, &run, PROFILE, &arguments, PATIENCE, self.tell).await?;
        let status = loop {
            let (phase, status) = change.look().await?;
            if phase == "ended" {
                break status;
            }
        };
        let said = change.last_words();
        let message = format!("{}: status {status}{said}", self.host.transport.host());
        match status.as_str() {
            "0" => Ok(()),
            "1" | "2" => {
                let error = BackendError::permanent(ErrorKind::Invalid, "activate", message);
                Err(error.as_it_was())
            }
            "4" => {
                let error = BackendError::temporary(ErrorKind::Conflict, "activate", message);
                Err(error.as_it_was())
            }
            _ => Err(BackendError::permanent(ErrorKind::Unexpected, "activate", message)),
        }
    }

    /// Removes it, with its secrets, which whatever takes its place brings anew.
    pub(super) async fn remove(&self) -> Result<(), BackendError> {
        self.change("remove", &[], None).await?;
        let folder = format!("{}/{}", self.folder(), self.functionality);
        let secrets = compile::secrets(self.step.deployment, self.functionality);
        let remove = Command::new("rm").args(["-rf", "--", &folder, &secrets]);
        self.host.run("remove", remove, self.tell).await.map(drop)
    }
}
