//! `deployix plan`: what would change, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use anstyle::{AnsiColor, Style};
use deployix::core::{
    Name,
    backend::{Input, Owner},
    diagnostic::{Diagnostics, Staged},
    history::Heads,
    plan::{FieldChange, Only, Plan, PlannedAction, PlannedStep, plan},
};
use serde::Serialize;

use crate::{
    arguments, pipeline,
    plain::plain,
    session::{Exit, Session},
};

/// What `--json` prints: the plan, and what was found on the way.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    generation: u64,
    steps: &'a [PlannedStep],
    kept: usize,
    left: BTreeSet<&'a Name>,
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: &arguments::Plan, session: &Session) -> Exit {
    let registry = deployix::registry();
    let Staged { value: compiled, mut diagnostics } =
        pipeline::compiled(pipeline::load(&arguments.specs.file), &registry);
    let plan = compiled.and_then(|compiled| {
        let only = match arguments.only.as_slice() {
            [] => Only::All,
            names => {
                let only = Only::named(names.iter().cloned(), &compiled);
                let unknown = !only.diagnostics.is_empty();
                diagnostics.extend(only.diagnostics);
                // A plan without what was asked for would read as if there were nothing to do.
                (!unknown).then_some(only.value)?
            }
        };
        Some(plan(&compiled, &Heads::default(), &registry, &only))
    });
    session.tell(&diagnostics);

    if session.json {
        session.print_json(&Document {
            generation: plan.as_ref().map_or(0, |plan| plan.generation),
            steps: plan.as_ref().map_or(&[], |plan| &plan.steps),
            kept: plan.as_ref().map_or(0, |plan| plan.kept),
            left: plan.iter().flat_map(|plan| &plan.left).collect(),
            diagnostics: &diagnostics,
        });
    } else if let Some(plan) = &plan {
        session.print(&text(plan));
    }
    let changes = plan.is_some_and(|plan| !plan.steps.is_empty());
    match Exit::of(&diagnostics) {
        Exit::Done if changes && arguments.exit_code => Exit::Changes,
        exit => exit,
    }
}

/// The plan for people, by owner.
fn text(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_plan(&mut text, plan);
    text
}

fn write_plan(text: &mut String, plan: &Plan) -> fmt::Result {
    let mut by_owner: BTreeMap<&Owner, Vec<&PlannedStep>> = BTreeMap::new();
    for step in &plan.steps {
        by_owner.entry(&step.owner).or_default().push(step);
    }
    for (owner, mut steps) in by_owner {
        steps.sort_by_key(|step| &step.resource);
        writeln!(text, "{owner}")?;
        for step in steps {
            let (sign, style) = look(step.action);
            let action = step.action.as_str();
            writeln!(text, "  {style}{sign} {action}{style:#} {}", step.resource)?;
            for FieldChange { field, from, to } in &step.changes {
                let (from, to) = (shown(from.as_ref()), shown(to.as_ref()));
                writeln!(text, "      {}: {from} → {to}", plain(field))?;
            }
        }
        writeln!(text)?;
    }
    let count = |action| plan.steps.iter().filter(|step| step.action == action).count();
    if plan.steps.is_empty() {
        writeln!(text, "no changes; {} unchanged", plan.kept)?;
    } else {
        writeln!(
            text,
            "{} to create, {} to update, {} to replace, {} to remove; {} unchanged",
            count(PlannedAction::Create),
            count(PlannedAction::Update),
            count(PlannedAction::Replace),
            count(PlannedAction::Remove),
            plan.kept
        )?;
    }
    if !plan.left.is_empty() {
        let left: Vec<_> = plan.left.iter().map(Name::as_str).collect();
        writeln!(text, "left as it is, since it failed: {}", left.join(", "))?;
    }
    Ok(())
}

fn look(action: PlannedAction) -> (&'static str, Style) {
    let (sign, colour) = match action {
        PlannedAction::Create => ("+", AnsiColor::Green),
        PlannedAction::Update => ("~", AnsiColor::Yellow),
        PlannedAction::Replace => ("-/+", AnsiColor::Magenta),
        PlannedAction::Remove => ("-", AnsiColor::Red),
    };
    (sign, Style::new().fg_color(Some(colour.into())))
}

/// A setting in one short line.
fn shown(input: Option<&Input>) -> String {
    /// So many characters tell most values apart and fit on a line twice.
    const MOST: usize = 60;
    let Some(input) = input else { return "nothing".to_owned() };
    // Inputs are JSON-like data, which always serializes.
    let text = serde_json::to_string(input).unwrap_or_default();
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    plain(&short).into_owned()
}
