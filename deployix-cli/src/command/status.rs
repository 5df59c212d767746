//! `deployix status`: what runs where, since when, and who is at what.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use deployix::core::{
    Digest, Name, ResourceId,
    backend::{Owner, Registry, Resource},
    diagnostic::{Diagnostics, Staged},
    execute::Drift,
    history::{Heads, Holder, Open, Run, RunId, Story},
    spec::Deployment,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    arguments::Status,
    journal::{self, Journal},
    pipeline,
    plain::plain,
    plan_text,
    session::{Exit, Session},
    tables::table,
};

/// What `--json` prints.
#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    deployment: Option<Name>,
    generation: u64,
    /// What stands, by on whose account it does.
    standing: Vec<Subject>,
    /// Who is at what.
    runs: BTreeMap<RunId, Run>,
    /// What is other than the history tells, where the providers were asked.
    drift: Vec<Drift>,
    diagnostics: Diagnostics,
}

/// One functionality, edge, target or network.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Subject {
    owner: Owner,
    targets: BTreeSet<Name>,
    /// When it was last changed.
    since: Option<Since>,
    resources: Vec<Standing>,
    /// What is not known of it, and why.
    doubts: BTreeMap<ResourceId, String>,
    /// Who holds it.
    held: Option<RunId>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Since {
    generation: u64,
    at: Option<Timestamp>,
    by: Option<Holder>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Standing {
    id: ResourceId,
    target: Name,
    digest: Digest,
    since: u64,
}

pub(crate) fn run(arguments: &Status, session: &Session) -> Exit {
    journal::wait(session, show(arguments, session))
}

async fn show(arguments: &Status, session: &Session) -> Exit {
    let Staged { value: deployment, diagnostics } = pipeline::load(&arguments.specs.file);
    let registry = deployix::registry();
    let document = match deployment {
        // What is wrong in the specs does not change what stands.
        Some(deployment) => {
            let read = Document::read(&deployment, arguments.refresh, &registry).await;
            read.unwrap_or_else(|diagnostics| Document {
                deployment: Some(deployment.name),
                diagnostics,
                ..Document::default()
            })
        }
        None => Document { diagnostics, ..Document::default() },
    };
    session.tell(&document.diagnostics);
    if session.json {
        session.print_json(&document);
    } else if !document.diagnostics.has_errors() {
        session.print(&document.text());
    }
    Exit::of(&document.diagnostics)
}

impl Document {
    async fn read(
        deployment: &Deployment,
        refresh: bool,
        registry: &Registry,
    ) -> Result<Self, Diagnostics> {
        let journal = Journal::open(deployment).await?;
        let heads = journal.heads().await?.described_by(&deployment.infrastructure);
        // What was before the oldest thing that stands says nothing about what does.
        let oldest = heads.resources.values().map(|standing| standing.since).min();
        let story = match oldest {
            Some(oldest) => {
                let story = Story::of(&journal.entries(oldest.saturating_sub(1)).await?);
                // Who did it is told where the run began, which may be long before.
                if story.runs.iter().all(|run| run.by.is_some()) {
                    story
                } else {
                    Story::of(&journal.entries(0).await?)
                }
            }
            None => Story::default(),
        };
        let mut diagnostics = Diagnostics::new();
        let (seen, drift) = if refresh {
            let sites = heads.sites.values().cloned();
            journal.look(&heads, sites, registry, &mut diagnostics).await
        } else {
            (heads.clone(), Vec::new())
        };
        Ok(Self {
            deployment: Some(journal.deployment),
            generation: heads.generation,
            standing: subjects(&seen, &story),
            runs: heads.runs,
            drift,
            diagnostics,
        })
    }

    fn text(&self) -> String {
        let mut text = plan_text::drift(&self.drift);
        let name = self.deployment.as_ref().map(Name::as_str).unwrap_or_default();
        if self.standing.is_empty() {
            text += &format!("{name}: nothing stands\n");
        } else {
            text += &format!("{name}, generation {}\n\n", self.generation);
            let (shown, others): (Vec<_>, Vec<_>) =
                self.standing.iter().partition(|subject| subject.is_shown());
            if shown.is_empty() {
                let others = others.into_iter().map(Subject::counted).collect::<Vec<_>>();
                text += &format!("no functionality stands, and of others {}\n", others.join(", "));
            } else {
                let rows: Vec<_> = shown.into_iter().map(Subject::row).collect();
                text += &table(["functionality", "target", "state", "since", "by"], &rows);
            }
        }
        for (run, Run { by, since, until, claims, .. }) in &self.runs {
            let claims: Vec<_> = claims.iter().map(ToString::to_string).collect();
            let what = if claims.is_empty() { "nothing".to_owned() } else { claims.join(", ") };
            let gone =
                if by.is_gone() { "; the process is gone, so nobody has to wait" } else { "" };
            let by = plain(&by.to_string()).into_owned();
            text += &format!(
                "\nrun {run}: {by} holds {what} since {since:.0}, until {until:.0} unless renewed{gone}\n"
            );
        }
        text
    }
}

impl Subject {
    /// Whether people want to know: their own things, and what is in doubt.
    fn is_shown(&self) -> bool {
        matches!(self.owner, Owner::Functionality(_)) || !self.doubts.is_empty()
    }

    /// `target box (2 resources)`.
    fn counted(&self) -> String {
        let count = super::counted(self.resources.len(), "resource", "resources");
        format!("{} ({count})", self.owner)
    }

    fn row(&self) -> [String; 5] {
        let targets: Vec<_> = self.targets.iter().map(Name::as_str).collect();
        let mut state = match self.resources.len() {
            0 => "nothing stands for certain".to_owned(),
            count => super::counted(count, "resource", "resources"),
        };
        for (resource, why) in &self.doubts {
            state += &format!("; in doubt: {resource}, {why}");
        }
        let since = self.since.as_ref().map(|Since { generation, at, .. }| {
            let at = at.map(|at| format!(", {at:.0}")).unwrap_or_default();
            format!("generation {generation}{at}")
        });
        let by = self.since.as_ref().and_then(|since| since.by.as_ref());
        [
            self.owner.to_string(),
            targets.join(", "),
            state,
            since.unwrap_or_default(),
            by.map(ToString::to_string).unwrap_or_default(),
        ]
    }
}

/// What stands or may stand, by on whose account; when a functionality was last changed also by what
/// carries it.
fn subjects(heads: &Heads, story: &Story) -> Vec<Subject> {
    let mut subjects: BTreeMap<Owner, Subject> = BTreeMap::new();
    let new = |owner: &Owner| Subject {
        owner: owner.clone(),
        targets: BTreeSet::new(),
        since: None,
        resources: Vec::new(),
        doubts: BTreeMap::new(),
        held: heads
            .runs
            .iter()
            .find(|(_, run)| run.claims.contains(owner))
            .map(|(id, _)| id.clone()),
    };
    for (id, standing) in &heads.resources {
        let mut since = None;
        for owner in accounts(&standing.resource) {
            let subject = subjects.entry(owner.clone()).or_insert_with(|| new(&owner));
            subject.targets.insert(standing.target.clone());
            let before = subject.since.as_ref().map(|since| since.generation);
            if before.is_none_or(|before| before < standing.since) {
                let since = since.get_or_insert_with(|| Since::of(id, standing.since, story));
                subject.since = Some(since.clone());
            }
            if owner == *standing.resource.owner() {
                subject.resources.push(Standing {
                    id: id.clone(),
                    target: standing.target.clone(),
                    digest: standing.resource.digest(),
                    since: standing.since,
                });
            }
        }
    }
    for (id, open) in &heads.open {
        for owner in accounts(&open.resource) {
            let subject = subjects.entry(owner.clone()).or_insert_with(|| new(&owner));
            subject.targets.insert(open.target.clone());
            subject.doubts.insert(id.clone(), Open::why(open));
        }
    }
    subjects.into_values().collect()
}

/// Whose a resource is, and the functionalities that run by it.
fn accounts(resource: &Resource) -> impl Iterator<Item = Owner> {
    let carried = resource.carries().keys().cloned().map(Owner::Functionality);
    iter::once(resource.owner().clone()).chain(carried)
}

impl Since {
    fn of(resource: &ResourceId, generation: u64, story: &Story) -> Self {
        let made = story.ended_in(resource, generation);
        let ended = made.and_then(|(_, step)| step.end.as_ref());
        Self {
            generation,
            at: ended.map(|(_, _, at)| *at),
            by: made.and_then(|(run, _)| run.by.clone()),
        }
    }
}
