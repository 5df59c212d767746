//! What `deploy` and `destroy` have in common: a plan is shown, agreed to, carried out and told.

use std::collections::BTreeSet;

use deployix::core::{
    HistoryId, Name,
    backend::Registry,
    diagnostic::Diagnostics,
    execute::{ApplyOptions, Drift, Interrupt, Report, apply},
    plan::Plan,
};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::{
    journal::{Journal, unusable},
    plan_text::{self, PlanDocument},
    progress::Progress,
    session::{Answer, Exit, Session},
    tables,
};

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    deployment: Option<&'a Name>,
    plan: PlanDocument<'a>,
    /// What is other than the history tells, where the providers were asked.
    drift: &'a [Drift],
    /// How it ended; nothing where it was not carried out.
    report: Option<&'a Report>,
    diagnostics: &'a Diagnostics,
}

/// A plan and all that is said about it.
#[derive(Default)]
pub(super) struct Work {
    /// Nothing where there is none to be carried out.
    pub(super) plan: Option<(Journal, Plan)>,
    pub(super) drift: Vec<Drift>,
    pub(super) found: Diagnostics,
    /// The functionalities that were asked for by name, if any were.
    pub(super) asked: Option<BTreeSet<Name>>,
    /// The lost history whose things are this one's from now on.
    pub(super) take_over: Option<HistoryId>,
}

impl Work {
    /// Work that is not to be done.
    pub(super) fn none(found: Diagnostics) -> Self {
        Self { found, ..Self::default() }
    }

    /// Shows the plan, asks unless that was said before, carries it out and tells how it ended.
    pub(super) async fn carry_out(
        mut self,
        question: &str,
        yes: bool,
        registry: &Registry,
        session: &Session,
    ) -> Exit {
        session.tell(&self.found);
        let Some((journal, plan)) = self.plan.take() else {
            self.print_json(None, None, session);
            return Exit::Failed;
        };
        let text = plan_text::drift(&self.drift) + &plan_text::text(&plan, &self.found);
        if !session.json {
            session.print(&text);
        } else if !yes {
            session.say(&text);
        }
        if !plan.steps.is_empty() && !yes {
            match session.ask(question) {
                Answer::Yes => {}
                Answer::No => {
                    session.say("nothing was done\n");
                    self.print_json(Some((&journal, &plan)), None, session);
                    return Exit::Failed;
                }
                Answer::Nobody => {
                    let why = "there is no terminal to ask on whether to go on";
                    session.say(&format!("error: {why}; nothing was done: give --yes\n"));
                    self.print_json(Some((&journal, &plan)), None, session);
                    return Exit::Usage;
                }
            }
        }

        let mut options = ApplyOptions::new();
        options.secrets = journal.secrets();
        options.asked = self.asked.take();
        options.take_over = self.take_over.take();
        let interrupt = Interrupt::default();
        // Only now: until here the usual way of ending a program at once does no harm.
        tokio::spawn(watch(interrupt.clone()));
        let (events, mut received) = mpsc::unbounded_channel();
        let mut progress = Progress::new(&plan);
        let show = tokio::spawn(async move {
            while let Some(event) = received.recv().await {
                progress.show(&event);
            }
            progress.finish()
        });
        let report =
            apply(&plan, &journal.history, registry, &options, &interrupt, Some(&events)).await;
        drop(events);
        let logs = show.await.unwrap_or_default();
        if let Some(error) = &report.history {
            let unusable: Diagnostics = unusable(error).into();
            session.tell(&unusable);
            self.found.extend(unusable);
        }

        let told = !plan.steps.is_empty() || !plan.left.is_empty();
        let heads = if told { journal.heads().await.ok() } else { None };
        if told && !session.json {
            let table = tables::closing(&plan, &self.found, &report, heads.as_ref(), &logs);
            session.print(&format!("\n{table}"));
        }
        let seen: BTreeSet<_> =
            self.drift.iter().filter_map(|drift| drift.kept_by.as_ref()).collect();
        if let Some(heads) = heads
            && report.kept_by.values().any(|by| !seen.contains(by))
        {
            // They began meanwhile, so how much they keep is seen only now.
            let mut others = Diagnostics::new();
            journal.look(&heads, plan.sites.values().cloned(), registry, &mut others).await;
            session.tell(&others);
            self.found.extend(others);
        }
        self.print_json(Some((&journal, &plan)), Some(&report), session);
        match Exit::of(&self.found) {
            _ if report.interrupted => Exit::Interrupted,
            _ if !report.is_good() => Exit::Failed,
            exit => exit,
        }
    }

    fn print_json(
        &self,
        plan: Option<(&Journal, &Plan)>,
        report: Option<&Report>,
        session: &Session,
    ) {
        if session.json {
            session.print_json(&Document {
                deployment: plan.map(|(journal, _)| &journal.deployment),
                plan: PlanDocument::of(plan.map(|(_, plan)| plan), &self.found),
                drift: &self.drift,
                report,
                diagnostics: &self.found,
            });
        }
    }
}

/// Interrupts the run when somebody wishes to end the program, and ends it when they insist: the
/// history knows what was under way, so the next run goes on from there.
async fn watch(interrupt: Interrupt) {
    loop {
        if signal().await.is_err() {
            // Then the usual way of ending a program is left.
            return;
        }
        if interrupt.is_interrupted() {
            std::process::exit(130);
        }
        interrupt.now();
    }
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
