//! `deployix plan`: what would change, and why.

use std::collections::{BTreeMap, BTreeSet};

use deployix::core::{
    Name, ResourceId,
    backend::Permissions,
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    execute::{Drift, permissions},
    plan::{Only, Plan, plan},
};
use serde::Serialize;

use crate::{
    arguments,
    journal::{self, Looks, Ready, chain},
    pipeline, plan_file,
    plan_text::{self, PlanDocument, Step},
    session::{Exit, Session},
};

/// What `--json` prints: the plan, and what was found on the way.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    generation: u64,
    steps: Vec<Step<'a>>,
    kept: usize,
    left: BTreeSet<&'a Name>,
    blocked: BTreeSet<&'a Name>,
    held: BTreeMap<&'a ResourceId, &'a BTreeSet<Name>>,
    waiting: BTreeSet<&'a Name>,
    data_kept: BTreeSet<&'a ResourceId>,
    /// What is other than the history tells, where the providers were asked.
    drift: &'a [Drift],
    /// What may not be done, where the providers were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<&'a Permissions>,
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: &arguments::Plan, session: &Session) -> Exit {
    journal::wait(session, show(arguments, session))
}

async fn show(arguments: &arguments::Plan, session: &Session) -> Exit {
    let registry = deployix::registry();
    let Staged { value: deployment, diagnostics: mut found } =
        pipeline::load(&arguments.specs.file);
    let mut ready = None;
    if let Some(deployment) = deployment {
        // Nothing is written by planning: what runs left that died is planned around.
        let take_over = arguments.take_over.clone();
        let looks = Looks { settle: false, refresh: arguments.refresh, take_over };
        let staged = journal::ready(deployment, &registry, looks).await;
        found.extend(staged.diagnostics);
        found.sort();
        ready = staged.value;
    }
    let only = ready.as_ref().and_then(|ready| only(&arguments.only, ready, &mut found));
    let plan: Option<Plan> = ready
        .as_ref()
        .zip(only.as_ref())
        .map(|(ready, only)| plan(&ready.compiled, &ready.heads, &registry, only));
    if let Some((out, plan)) = arguments.out.as_ref().zip(plan.as_ref())
        && let Err(diagnostic) = plan_file::write(out, plan)
    {
        found.push(*diagnostic);
    }
    let mut allowed = None;
    if let Some(plan) = plan.as_ref().filter(|_| arguments.check_permissions) {
        match permissions(plan, &registry).await {
            Ok(permissions) => {
                tell(&permissions, &mut found);
                allowed = Some(permissions);
            }
            Err(error) => {
                let message = format!("permissions cannot be asked about: {}", chain(&error));
                found.push(Diagnostic::error(Code::PermissionUnknown, message));
            }
        }
    }
    session.tell(&found);

    let drift = ready.as_ref().map_or(&[][..], |ready| &ready.drift);
    if session.json {
        let PlanDocument { generation, steps, kept, left, blocked, held, waiting, data_kept } =
            PlanDocument::of(plan.as_ref(), &found);
        let diagnostics = &found;
        session.print_json(&Document {
            generation,
            steps,
            kept,
            left,
            blocked,
            held,
            waiting,
            data_kept,
            drift,
            permissions: allowed.as_ref(),
            diagnostics,
        });
    } else if let Some(plan) = &plan {
        session.print(&(plan_text::drift(drift) + &plan_text::text(plan, &found)));
    }
    let changes = plan.is_some_and(|plan| !plan.steps.is_empty());
    match Exit::of(&found) {
        // Whoever asks the providers wants no answer that leaves one of them out.
        Exit::Done if found.iter().any(|it| it.code == Code::TargetUnseen) => Exit::Failed,
        Exit::Done if changes && arguments.exit_code => Exit::Changes,
        exit => exit,
    }
}

/// All that may not be done, each by the name that goes into a policy.
fn tell(permissions: &Permissions, found: &mut Diagnostics) {
    for action in &permissions.denied {
        let message = format!("whoever deploys may not do `{action}`, which the plan needs");
        let remedy = "allow it in their policy";
        found.push(Diagnostic::error(Code::PermissionDenied, message).remedy(remedy));
    }
    if !permissions.unasked.is_empty() {
        let actions: Vec<_> = permissions.unasked.iter().map(String::as_str).collect();
        let message =
            format!("the plan also needs what cannot be asked about: {}", actions.join(", "));
        found.push(Diagnostic::warning(Code::PermissionUnknown, message));
    }
}

/// What a plan is to be about; nothing where one of the names is nobody's, since a plan without
/// what was asked for would read as if there were nothing to do.
pub(super) fn only(names: &[Name], ready: &Ready, found: &mut Diagnostics) -> Option<Only> {
    if names.is_empty() {
        return Some(Only::All);
    }
    let only = Only::named(names.iter().cloned(), &ready.compiled, &ready.heads);
    let unknown = !only.diagnostics.is_empty();
    found.extend(only.diagnostics);
    found.sort();
    (!unknown).then_some(only.value)
}
