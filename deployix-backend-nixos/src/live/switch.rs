//! One switch of a machine: a new version of what it is made of, built, activated and confirmed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use deployix_core::backend::{BackendError, ErrorKind, Keeper};
use deployix_transport::{Command, Entry, put};

use super::{
    build,
    change::{self, Change, Put, Secrets},
    command::{self, script},
    detached::{self, Detached},
    host::{Failure, Host, Machine},
    keeper,
    record::Record,
};

const PREPARE: &str = include_str!("prepare.sh");
const GATHER: &str = include_str!("gather.sh");
const ACTIVATE: &str = include_str!("activate.sh");

/// Where versions of what the machine is made of are.
const SYSTEM: &str = "/var/lib/deployix/system";

/// Imports every module there is, so that which ones these are is nobody's business but theirs.
const IMPORTS: &str = include_str!("imports.nix");

/// How often a switch is begun anew because somebody else switched meanwhile: each time somebody
/// got ahead.
const TRIES: usize = 20;

/// How long a machine waits for a confirmation unless its settings say otherwise.
const CONFIRM_WITHIN: Duration = Duration::from_secs(60);

/// How long a machine may not answer, beyond the time in which it goes back by itself.
const PATIENCE: Duration = Duration::from_secs(120);

/// Switches a machine to what changes make of it.
pub(super) async fn to(
    host: &Host,
    machine: &Machine,
    changes: &[&Change],
    tell: &(dyn Fn(&str) + Sync),
) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let version = format!("v-{}", token());
        let switch = Switch { host, machine, version, tell };
        match switch.once(changes).await {
            Ok(Ended::Kept) => return switch.forget_secrets(changes).await.map_err(Failure::from),
            Ok(Ended::Moved) => {
                switch.drop_version().await;
                tell("somebody else switched the machine; once more");
            }
            Err(error) => {
                // Else the machine may run it by now.
                if error.is_as_it_was() {
                    switch.drop_version().await;
                }
                return Err(error.into());
            }
        }
    }
    let name = host.transport.host();
    let message = format!("others switched {name} each time that this was about to");
    let error = BackendError::temporary(ErrorKind::Conflict, "switch", message);
    Err(error.as_it_was().into())
}

/// A name that no other run has.
pub(super) fn token() -> String {
    use std::{
        hash::{BuildHasher as _, RandomState},
        sync::atomic::{AtomicU32, Ordering},
        time::{SystemTime, UNIX_EPOCH},
    };
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let random = RandomState::new().hash_one(now);
    format!("{now:x}-{random:016x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

struct Switch<'a> {
    host: &'a Host,
    machine: &'a Machine,
    /// The name of the new version.
    version: String,
    tell: &'a (dyn Fn(&str) + Sync),
}

/// What a machine is made of now.
struct Base {
    /// The name of the version; empty where there is none.
    version: String,
    records: Vec<Record>,
}

/// A new version, built.
struct Built {
    /// Its path in the store of the machine.
    system: String,
    /// How long the machine waits for a confirmation.
    within: Duration,
}

/// How an activation ended that left the machine well.
enum Ended {
    Kept,
    /// Somebody else switched before.
    Moved,
}

impl Switch<'_> {
    async fn once(&self, changes: &[&Change]) -> Result<Ended, BackendError> {
        let base = self.prepare().await.map_err(BackendError::as_it_was)?;
        if changes.iter().any(|change| matches!(change, Change::Leave)) {
            return self.leave(&base).await;
        }
        self.edit(&base, changes).await.map_err(BackendError::as_it_was)?;
        let built = self.build().await.map_err(BackendError::as_it_was)?;
        self.activate(&self.version, &base.version, &built).await
    }

    /// Removes a version that is not run. What stays of one is removed by a later run.
    async fn drop_version(&self) {
        let remove = "cd \"$1\" && [ \"$(readlink current)\" = \"$2\" ] || rm -rf -- \"$1/$2\"";
        let remove = script(remove, "drop", &[SYSTEM, &self.version]);
        let _ = self.host.transport.run(&remove.limit(Duration::from_secs(20))).await;
    }

    fn name(&self) -> &str {
        self.host.transport.host()
    }

    fn path(&self, below: &str) -> String {
        format!("{SYSTEM}/{}/{below}", self.version)
    }

    /// Copies what the machine is made of to a new version.
    async fn prepare(&self) -> Result<Base, BackendError> {
        let Machine { deployment, name, keeper } = self.machine;
        let arguments = [&self.version, deployment.as_str(), name];
        let told =
            self.host.run("prepare", script(PREPARE, "prepare", &arguments), self.tell).await?;
        let told = String::from_utf8_lossy(&told);
        let mut lines = told.lines();
        let version = lines.next().unwrap_or_default().to_owned();
        let records = Record::read(lines, self.name())?;
        let what = format!("the system of {}", self.name());
        keeper::check(keeper.as_ref(), deployment, &what, &records)?;
        Ok(Base { version, records })
    }

    /// Makes the changes in the new version.
    async fn edit(&self, base: &Base, changes: &[&Change]) -> Result<(), BackendError> {
        let records: BTreeMap<_, _> =
            base.records.iter().map(|record| (&record.id, record)).collect();
        let mut entries = self.marks(base, changes);
        let mut gone = Vec::new();
        for change in changes {
            let Some(id) = change.id() else { continue };
            match change {
                Change::Put(put) => self.entries(put, &mut entries),
                _ => gone.push(format!("resources/{}", Record::file(id))),
            }
            let kept = |file: &&String| match change {
                Change::Put(put) => put.files.contains_key(*file),
                _ => false,
            };
            let before = records.get(id).into_iter().flat_map(|record| &record.files);
            gone.extend(before.filter(|file| !kept(file)).map(|file| format!("flake/{file}")));
        }
        let units: Vec<&str> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Put(put) => Some(&put.record.units),
                _ => None,
            })
            .flatten()
            .map(String::as_str)
            .collect();
        let units = units.join("\n") + "\n";
        entries.push(Entry::file(self.path("changed-units"), units, 0o644));
        if !gone.is_empty() {
            let list = gone.join("\0");
            let remove = "cd \"$1\" && xargs -0 rm -f --";
            let remove = script(remove, "remove", &[&self.path("")]).stdin(list);
            self.host.run("remove files", remove, self.tell).await?;
        }
        let done = put(&*self.host.transport, &entries).await;
        done.map_err(|cause| command::not_put(self.host, cause))
    }

    /// Records that say of another history, or of none, that it keeps what is the machine's: whoever
    /// switches it keeps all of it.
    fn marks(&self, base: &Base, changes: &[&Change]) -> Vec<Entry> {
        let Some(own) = self.machine.keeper.as_ref().map(Keeper::history) else {
            return Vec::new();
        };
        let changed: BTreeSet<_> = changes.iter().filter_map(|change| change.id()).collect();
        let stays = base.records.iter().filter(|record| !changed.contains(&record.id));
        let other = stays.filter(|record| record.history.as_ref() != Some(own));
        other.map(|record| self.record(&record.clone().kept_by(Some(own)))).collect()
    }

    fn record(&self, record: &Record) -> Entry {
        let path = self.path(&format!("resources/{}", Record::file(&record.id)));
        Entry::file(path, record.line(), 0o644)
    }

    fn entries(&self, put: &Put, entries: &mut Vec<Entry>) {
        entries.extend(change::entries(&self.path("flake"), &put.files));
        entries.push(self.record(&put.record));
        if let Some(base) = &put.base {
            let imports = self.path(&format!("flake/{}", base.imports));
            entries.push(Entry::file(imports, IMPORTS, 0o644));
            let modules: String =
                base.host_modules.iter().map(|module| format!("{module}\n")).collect();
            entries.push(Entry::file(self.path("host-modules"), modules, 0o644));
            let within = format!("{}\n", base.confirm_within);
            entries.push(Entry::file(self.path("confirm-within"), within, 0o644));
            let builder = if base.built_by_host { "host\n" } else { "here\n" };
            entries.push(Entry::file(self.path("build"), builder, 0o644));
        }
        if let Some(secrets) = &put.secrets {
            entries.extend(secrets.entries(&self.machine.deployment));
        }
    }

    /// Removes the secrets of functionalities that are gone, and those that one needs no more.
    async fn forget_secrets(&self, changes: &[&Change]) -> Result<(), BackendError> {
        let mut kept = Vec::new();
        for change in changes {
            match change {
                Change::Put(put) => kept.extend(put.secrets.as_ref().map(Secrets::kept)),
                Change::Remove { secrets_of: Some(name), .. } => kept.push(name.to_string()),
                Change::Remove { secrets_of: None, .. } => {}
                // The folder of all.
                Change::Leave => kept.push(".".to_owned()),
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let forget = change::forget(&self.machine.deployment, kept);
        self.host.run("remove secrets", forget, self.tell).await.map(drop)
    }

    /// Builds the new version.
    async fn build(&self) -> Result<Built, BackendError> {
        let gathered =
            self.host.run("gather", script(GATHER, "gather", &[&self.version]), self.tell).await?;
        let gathered = String::from_utf8_lossy(&gathered);
        let mut settings = gathered.lines();
        let here = settings.next() == Some("here");
        let seconds = settings.next().and_then(|seconds| seconds.parse().ok());
        let within = seconds.map_or(CONFIRM_WITHIN, Duration::from_secs);
        let name = &self.machine.name;
        (self.tell)(&format!("building the system of {name}"));
        let folder = format!("{SYSTEM}/{}", self.version);
        let what = format!("nixosConfigurations.\"{name}\".config.system.build.toplevel");
        let system = build::built(self.host, &folder, &what, here, self.tell).await?;
        Ok(Built { system, within })
    }

    /// Goes back to what the machine ran before its first version.
    async fn leave(&self, base: &Base) -> Result<Ended, BackendError> {
        let before = script("cat \"$1\"/before 2>/dev/null || true", "before", &[SYSTEM]);
        let before = self.host.run("read what ran before", before, self.tell).await;
        let system = before.map_err(BackendError::as_it_was)?;
        let system = String::from_utf8_lossy(&system).trim().to_owned();
        if system.is_empty() {
            self.drop_version().await;
            return Ok(Ended::Kept);
        }
        self.activate("-", &base.version, &Built { system, within: CONFIRM_WITHIN }).await
    }

    async fn activate(
        &self,
        version: &str,
        base: &str,
        Built { system, within }: &Built,
    ) -> Result<Ended, BackendError> {
        let seconds = within.as_secs().to_string();
        let run = self.version.as_str();
        (self.tell)(&format!("switching to {system}"));
        let arguments = [version, base, system, &seconds];
        let patience = *within + PATIENCE;
        let mut activation =
            Detached::start(self.host, run, ACTIVATE, &arguments, patience, self.tell).await?;
        let (mut confirmed, mut held) = (false, false);
        loop {
            let (phase, why) = activation.look().await?;
            match phase.as_str() {
                "held" if !held => {
                    held = true;
                    (self.tell)(&format!("waiting for another switch of the machine: {why}"));
                }
                "activated" if !confirmed => confirmed = self.confirm(run).await,
                "kept" => return Ok(Ended::Kept),
                "moved" => return Ok(Ended::Moved),
                "reverted" => {
                    let message = format!(
                        "{}: the new system did not come up, and the one before runs again: \
                         {why}{}",
                        self.name(),
                        activation.last_words()
                    );
                    let error = BackendError::permanent(ErrorKind::Invalid, "activate", message);
                    return Err(error.as_it_was());
                }
                "stuck" => {
                    let message = format!(
                        "{}: the new system did not come up, and the one before did not wholly \
                         either: {why}; look at the machine{}",
                        self.name(),
                        activation.last_words()
                    );
                    let kind = ErrorKind::Unexpected;
                    return Err(BackendError::permanent(kind, "activate", message));
                }
                _ => {}
            }
        }
    }

    /// Confirms over a connection of its own that the machine can be reached.
    async fn confirm(&self, run: &str) -> bool {
        let confirmed = format!("{}/confirmed", detached::folder(run));
        let touch = Command::new("touch").arg(confirmed).limit(Duration::from_secs(20));
        let _ = self.host.transport.reconnect().await;
        self.host.transport.run(&touch).await.is_ok_and(|output| output.status.success())
    }
}
