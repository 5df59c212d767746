//! What stands and what is wanted, brought together: the part of the way that commands share which
//! read a deployment's history.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use deployix::core::{
    HistoryId, Name,
    backend::{NoSecrets, OwnedSite, Registry, Secrets},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    execute::{Drift, observe, settle},
    history::{Entry, Heads, History, HistoryError, store},
    plan::{Compiled, compile},
    secret::SecretsFolder,
    spec::{Deployment, Infrastructure},
    topology::{connect, place, resolve},
};

use crate::session::{Exit, Session};

/// A deployment's history, and what else is read besides specs.
pub(crate) struct Journal {
    pub(crate) deployment: Name,
    pub(crate) history: History,
    secrets: Option<PathBuf>,
}

/// How closely to look before planning.
#[derive(Debug, Clone)]
pub(crate) struct Looks {
    /// Finds out how steps ended whose runs died, and writes that down.
    pub(crate) settle: bool,
    /// Asks the providers what really stands.
    pub(crate) refresh: bool,
    /// What a history kept that is lost is this one's.
    pub(crate) take_over: Option<HistoryId>,
}

/// All that a plan is made from.
pub(crate) struct Ready {
    pub(crate) journal: Journal,
    pub(crate) compiled: Compiled,
    /// What stands, with what was observed.
    pub(crate) heads: Heads,
    pub(crate) drift: Vec<Drift>,
}

/// Waits for what a command does.
pub(crate) fn wait(session: &Session, command: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => {
            let exit = runtime.block_on(command);
            // Nobody waits any more for what a step had asked for.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            session.say(&format!("error: cannot start: {error}\n"));
            Exit::Failed
        }
    }
}

impl Journal {
    /// Opens the history of a deployment: where its file says, else `history` beside that.
    pub(crate) async fn open(deployment: &Deployment) -> Result<Self, Diagnostic> {
        let url = deployment.history.clone().unwrap_or_else(|| {
            let file = deployment.source.as_ref().map(|source| Path::new(&**source.file()));
            let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
            format!("file:{}", folder.join("history").display())
        });
        let store = store(&url, Path::new("")).map_err(|error| unusable(&error))?;
        let history =
            History::open(store, &deployment.name).await.map_err(|error| unusable(&error))?;
        let (deployment, secrets) = (deployment.name.clone(), deployment.secrets.clone());
        Ok(Self { deployment, history, secrets })
    }

    /// What stands now.
    pub(crate) async fn heads(&self) -> Result<Heads, Diagnostic> {
        self.history.heads().await.map_err(|error| unusable(&error))
    }

    /// The entries after a generation.
    pub(crate) async fn entries(&self, after: u64) -> Result<Vec<Entry>, Diagnostic> {
        self.history.entries(after).await.map_err(|error| unusable(&error))
    }

    /// Finds out how steps ended whose runs died.
    pub(crate) async fn settle(&self, registry: &Registry) -> Result<(), Diagnostic> {
        let settled = settle(&self.history, registry, &self.deployment).await;
        settled.map(drop).map_err(|error| unusable(&error))
    }

    /// What stands, with what the providers say; targets that cannot be asked are told.
    pub(crate) async fn look(
        &self,
        heads: &Heads,
        sites: impl IntoIterator<Item = OwnedSite>,
        registry: &Registry,
        found: &mut Diagnostics,
    ) -> (Heads, Vec<Drift>) {
        let observation = observe(registry, &self.deployment, sites, heads).await;
        found.extend(observation.findings());
        let (heads, drift) = observation.compare(heads);
        found.extend(self.keepers(&drift, &heads));
        (heads, drift)
    }

    /// Tells of other histories that keep something of the deployment: how much that is, and what to do
    /// about each.
    fn keepers(&self, drift: &[Drift], heads: &Heads) -> Diagnostics {
        let mut keepers: BTreeMap<&HistoryId, usize> = BTreeMap::new();
        for by in drift.iter().filter_map(|drift| drift.kept_by.as_ref()) {
            *keepers.entry(by).or_default() += 1;
        }
        let resources = |count| crate::command::counted(count, "resource", "resources");
        let others = drift.iter().filter(|drift| drift.kept_by.is_some());
        let others: BTreeSet<_> = others.map(|drift| &drift.resource).collect();
        let kept = heads.resources.keys().filter(|id| !others.contains(id)).count();
        let own = heads.history.as_ref().filter(|_| kept > 0);
        let own =
            own.map(|own| format!(", and this one, {}, keeps {}", own.short(), resources(kept)));
        let own = own.unwrap_or_default();
        let tell = |(by, count): (&HistoryId, usize)| {
            let message = format!(
                "another history, {}, keeps {} of `{}`{own}: a step that is about one of the other's is \
                 refused",
                by.short(),
                resources(count),
                self.deployment
            );
            let remedy = format!(
                "use that history, or choose another name for the deployment; where it is lost, or both \
                 began at once and this one is to go on, give `--take-over {by}`: from then on this one \
                 keeps all, and the other one is refused"
            );
            Diagnostic::warning(Code::KeptByAnother, message).remedy(remedy)
        };
        keepers.into_iter().map(tell).collect()
    }

    /// Where the values of secrets are.
    pub(crate) fn secrets(&self) -> Arc<dyn Secrets> {
        let Some(folder) = &self.secrets else { return Arc::new(NoSecrets) };
        let secrets = SecretsFolder::new(folder);
        Arc::new(match SecretsFolder::usual_identity() {
            Some(identity) => secrets.identity(identity),
            None => secrets,
        })
    }
}

/// Goes from a deployment to all that a plan is made from; with nothing where its history cannot be
/// read.
pub(crate) async fn ready(
    deployment: Deployment,
    registry: &Registry,
    looks: Looks,
) -> Staged<Option<Ready>> {
    let mut found = Diagnostics::new();
    let read = async {
        let journal = Journal::open(&deployment).await?;
        if looks.settle {
            journal.settle(registry).await?;
        }
        Ok::<_, Diagnostic>((journal.heads().await?, journal))
    };
    let (heads, journal) = match read.await {
        Ok((heads, journal)) => {
            found.extend(moved(&heads, &deployment.infrastructure));
            let heads = heads.described_by(&deployment.infrastructure);
            (heads.taking_over(looks.take_over), journal)
        }
        Err(diagnostic) => return Staged::new(None, Diagnostics::from(diagnostic)),
    };
    let Staged { value: compiled, diagnostics } = resolve(deployment, registry)
        .then(|resolved| place(resolved.recalling(&heads.sites), &heads.assignments, registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, None));
    found.extend(diagnostics);
    let (heads, drift) = if looks.refresh {
        let sites = sites(&heads, &compiled);
        journal.look(&heads, sites, registry, &mut found).await
    } else {
        (heads, Vec::new())
    };
    found.sort();
    Staged::new(Some(Ready { journal, compiled, heads, drift }), found)
}

/// The targets where something stands or is to stand, each as it is described now, else as it was.
fn sites(heads: &Heads, compiled: &Compiled) -> Vec<OwnedSite> {
    let mut sites = heads.sites.clone();
    for site in compiled.connected().sites() {
        sites.insert(site.target.name.clone(), site.into());
    }
    sites.into_values().collect()
}

/// Tells of machines that are described at another address than what stands there was put to.
fn moved(heads: &Heads, infrastructure: &Infrastructure) -> Diagnostics {
    let stands: BTreeSet<&Name> = heads.resources.values().map(|it| &it.target).collect();
    let mut found = Diagnostics::new();
    for target in stands.into_iter().filter_map(|name| infrastructure.targets.get(name)) {
        let was = heads.sites.get(&target.name).and_then(|site| site.target.address.as_ref());
        let (Some(was), Some(now)) = (was, &target.address) else { continue };
        if was != now {
            let name = &target.name;
            let message = format!(
                "target `{name}` was at {was} and is at {now} now: where that is another machine, what \
                 runs at {was} goes on there, and nobody looks after it"
            );
            let remedy = format!(
                "for another machine, give `{name}` its old address and `deployix destroy` what is \
                 there first, or describe the new one as a target of its own"
            );
            found.push(Diagnostic::warning(Code::TargetMoved, message).remedy(remedy));
        }
    }
    found
}

/// That a history cannot be read or written.
pub(crate) fn unusable(error: &HistoryError) -> Diagnostic {
    Diagnostic::error(Code::HistoryUnusable, format!("the history: {}", chain(error)))
}

/// An error with all that is behind it, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
