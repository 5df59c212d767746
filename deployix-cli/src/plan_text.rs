//! Plans as people and programs read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use anstyle::{AnsiColor, Style};
use deployix::core::{
    Name, ResourceId,
    backend::{Input, Owner},
    diagnostic::Diagnostics,
    execute::Drift,
    plan::{Carried, FieldChange, Plan, PlannedAction, PlannedStep},
};
use serde::Serialize;

use crate::plain::plain;

/// A plan as programs read it; what is to be carried out is in a saved plan.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlanDocument<'a> {
    pub(crate) generation: u64,
    pub(crate) steps: Vec<Step<'a>>,
    pub(crate) kept: usize,
    /// Functionalities that are left as they are, since they failed.
    pub(crate) left: BTreeSet<&'a Name>,
    /// Those of them in which nothing is wrong: what they need failed.
    pub(crate) blocked: BTreeSet<&'a Name>,
    /// What is held back, each with the functionalities that failed on whose account.
    pub(crate) held: BTreeMap<&'a ResourceId, &'a BTreeSet<Name>>,
    /// Functionalities whose changes wait for what is held back.
    pub(crate) waiting: BTreeSet<&'a Name>,
    /// Resources that nothing wants any more and that stay, since they hold data.
    pub(crate) data_kept: BTreeSet<&'a ResourceId>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Step<'a> {
    resource: &'a ResourceId,
    owner: &'a Owner,
    target: &'a Name,
    action: PlannedAction,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'a str>,
    changes: &'a [FieldChange],
    after: &'a [ResourceId],
    /// What becomes of functionalities by it, where it is about a machine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    carried: BTreeMap<&'a Name, Carried>,
}

impl<'a> Step<'a> {
    fn new(step: &'a PlannedStep, carried: BTreeMap<&'a Name, Carried>) -> Self {
        Self {
            resource: step.id(),
            owner: step.owner(),
            target: &step.target,
            action: step.action,
            gap: step.gap.as_deref(),
            doubt: step.doubt.as_deref(),
            changes: &step.changes,
            after: &step.after,
            carried,
        }
    }
}

impl<'a> PlanDocument<'a> {
    /// The document of a plan, beside what was found on the way; of nothing where there is none.
    pub(crate) fn of(plan: Option<&'a Plan>, found: &Diagnostics) -> Self {
        let mut machines = plan.map(Plan::machines).unwrap_or_default();
        let steps = plan.iter().flat_map(|plan| &plan.steps);
        let steps = steps.map(|it| Step::new(it, machines.remove(it.id()).unwrap_or_default()));
        Self {
            generation: plan.map_or(0, |plan| plan.generation),
            steps: steps.collect(),
            kept: plan.map_or(0, |plan| plan.kept),
            left: plan.iter().flat_map(|plan| &plan.left).collect(),
            blocked: plan.iter().flat_map(|plan| blocked(plan, found)).collect(),
            held: plan.iter().flat_map(|plan| &plan.held).collect(),
            waiting: plan.iter().flat_map(|plan| &plan.waiting).collect(),
            data_kept: plan.iter().flat_map(|plan| &plan.data_kept).collect(),
        }
    }
}

/// What is other than the history tells, for people.
pub(crate) fn drift(drift: &[Drift]) -> String {
    let mut text = String::new();
    if drift.is_empty() {
        return text;
    }
    text += "not as deployix left it:\n";
    for Drift { resource, owner, what, changed_by, .. } in drift {
        let by = changed_by.as_ref().map(|by| format!(", by {}", plain(by))).unwrap_or_default();
        let what = what.join("; ");
        text += &format!("  {owner}: {resource}: {}{by}\n", plain(&what));
    }
    text.push('\n');
    text
}

/// Functionalities that a plan leaves as they are and in which nothing is wrong: what they need failed.
pub(crate) fn blocked<'a>(plan: &'a Plan, found: &Diagnostics) -> BTreeSet<&'a Name> {
    let stopped = found.stopped();
    plan.left.iter().filter(|name| stopped.contains(name)).collect()
}

/// The plan for people, by owner, beside what was found on the way.
pub(crate) fn text(plan: &Plan, found: &Diagnostics) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_plan(&mut text, plan, &blocked(plan, found));
    text
}

fn write_plan(text: &mut String, plan: &Plan, blocked: &BTreeSet<&Name>) -> fmt::Result {
    let mut by_owner: BTreeMap<&Owner, Vec<&PlannedStep>> = BTreeMap::new();
    for step in &plan.steps {
        by_owner.entry(step.owner()).or_default().push(step);
    }
    let machines = plan.machines();
    for (owner, mut steps) in by_owner {
        steps.sort_by_key(|step| step.id());
        writeln!(text, "{owner}")?;
        for step in steps {
            let (sign, style) = look(step.action);
            let action = step.action.as_str();
            writeln!(text, "  {style}{sign} {action}{style:#} {}", step.id())?;
            if let Some(carried) = machines.get(step.id()) {
                writeln!(text, "      {}", machine(carried))?;
            }
            if let Some(gap) = &step.gap {
                let why = "the old one stops before the new one is ready, since";
                writeln!(text, "      with a gap: {why} {}", plain(gap))?;
            }
            if let Some(doubt) = &step.doubt {
                writeln!(text, "      in doubt: {}", plain(doubt))?;
            }
            for FieldChange { field, from, to } in &step.changes {
                if let Some(input) = to.as_ref().filter(|_| from == to) {
                    let (field, given) = (plain(field), givers(input).join(" and "));
                    writeln!(text, "      {field}: what {given} gives then")?;
                    continue;
                }
                let (from, to) = (json(from.as_ref()), json(to.as_ref()));
                let same = from.chars().zip(to.chars()).take_while(|(a, b)| a == b).count();
                let (from, to) = (shown(&from, same), shown(&to, same));
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
    if let Some(about) = &plan.about {
        let others = plan.steps.iter().filter_map(|step| match step.owner() {
            Owner::Functionality(name) if !about.contains(name) => Some(name.as_str()),
            _ => None,
        });
        let others: BTreeSet<&str> = others.collect();
        if !others.is_empty() {
            let others = others.into_iter().collect::<Vec<_>>().join(", ");
            writeln!(text, "only prepared, as what this is about needs it: {others}")?;
        }
    }
    let (blocked, failed): (Vec<_>, Vec<_>) =
        plan.left.iter().partition(|name| blocked.contains(name));
    for (why, names) in [
        ("left as it is, since it failed", failed),
        ("blocked and left as it is, since what it needs failed", blocked),
    ] {
        let names: Vec<_> = names.into_iter().map(Name::as_str).collect();
        if !names.is_empty() {
            writeln!(text, "{why}: {}", names.join(", "))?;
        }
    }
    let mut held: BTreeMap<&BTreeSet<Name>, Vec<&str>> = BTreeMap::new();
    for (resource, since) in &plan.held {
        held.entry(since).or_default().push(resource.as_str());
    }
    for (since, resources) in held {
        let since: Vec<_> = since.iter().map(Name::as_str).collect();
        let (since, resources) = (since.join(", "), resources.join(", "));
        writeln!(text, "held back, since it cannot be made without {since}: {resources}")?;
    }
    if !plan.waiting.is_empty() {
        let waiting: Vec<_> = plan.waiting.iter().map(Name::as_str).collect();
        writeln!(text, "left as it is, since it needs what is held back: {}", waiting.join(", "))?;
    }
    if !plan.data_kept.is_empty() {
        let kept: Vec<_> = plan.data_kept.iter().map(ResourceId::as_str).collect();
        let how = "`destroy --volumes` removes it";
        writeln!(text, "kept, since it holds data ({how}): {}", kept.join(", "))?;
    }
    Ok(())
}

/// Whose outputs a setting reads.
fn givers(input: &Input) -> Vec<String> {
    let mut givers = BTreeSet::new();
    input.visit_outputs(&mut |output| {
        givers.insert(output.resource.to_string());
    });
    givers.into_iter().collect()
}

/// Whose machine it is, whose change that is, and who restarts with it.
fn machine(carried: &BTreeMap<&Name, Carried>) -> String {
    let of = |wanted: Option<Carried>| {
        let of = carried.iter().filter(|(_, what)| wanted.is_none_or(|wanted| **what == wanted));
        of.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let mut text = format!("the machine of {}", of(None).join(", "));
    let (changed, gone) = (of(Some(Carried::Changed)), of(Some(Carried::Gone)));
    let restarted = of(Some(Carried::Restarted));
    for (names, what) in [(changed, "comes up"), (gone, "goes"), (restarted, "restarts")] {
        if !names.is_empty() {
            text += &format!("; {what}: {}", names.join(", "));
        }
    }
    text
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

fn json(input: Option<&Input>) -> String {
    // Inputs are JSON-like data, which always serializes.
    input.map_or_else(|| "nothing".to_owned(), |i| serde_json::to_string(i).unwrap_or_default())
}

/// A setting in one short line: all of it, or what is around its first difference.
fn shown(text: &str, same: usize) -> String {
    /// So many characters tell most values apart and fit on a line twice.
    const MOST: usize = 60;
    /// So many of them show what comes before the difference.
    const BEFORE: usize = 20;
    let length = text.chars().count();
    let start = if length <= MOST { 0 } else { same.saturating_sub(BEFORE) };
    let part: String = text.chars().skip(start).take(MOST).collect();
    let before = if start > 0 { "…" } else { "" };
    let after = if start + MOST < length { "…" } else { "" };
    format!("{before}{}{after}", plain(&part))
}

#[cfg(test)]
mod tests {
    use deployix::core::{
        BackendId,
        backend::{MemoryBackend, Registry},
        history::{Heads, Standing},
        plan::{Compiled, Only, compile, plan},
        spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec, Target},
        topology::{Assignments, connect, place, resolve},
    };

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// Functionalities by their names, each with the value of a variable.
    fn compiled(registry: &Registry, functionalities: &[(&str, &str)]) -> Compiled {
        let functionality = |(name, value): &(&str, &str)| {
            let service = ServiceSpec::builder([*name]).env("VALUE", value).build().unwrap();
            FunctionalitySpec::new(name, service).unwrap().shared()
        };
        let catalog: Catalog = functionalities.iter().map(functionality).collect();
        let mut deployment = Deployment::new(name("shop"), vec![catalog]);
        let target = Target::machine(name("box"), BackendId::new("memory").unwrap());
        deployment.infrastructure.targets.insert(name("box"), target);
        let connected = resolve(deployment, registry)
            .then(|resolved| place(resolved, &Assignments::new(), registry))
            .then(|placed| connect(placed, registry));
        connected.then(|connected| compile(connected, registry, None)).complete().unwrap()
    }

    fn planned(before: &[(&str, &str)], after: &[(&str, &str)]) -> String {
        let registry = Registry::new().with(MemoryBackend::new());
        let mut heads = Heads::default();
        for (resource, site) in compiled(&registry, before).sited() {
            let standing = Standing::new(resource.clone(), site.target.name.clone(), 1);
            heads.resources.insert(resource.id().clone(), standing);
            heads.sites.insert(site.target.name.clone(), site.into());
        }
        let plan = plan(&compiled(&registry, after), &heads, &registry, &Only::All);
        anstream::adapter::strip_str(&text(&plan, &Diagnostics::new())).to_string()
    }

    #[test]
    fn what_stays_is_no_change() {
        let text = planned(&[("page", "1")], &[("page", "1")]);
        assert_eq!(text, "no changes; 2 unchanged\n");
    }

    #[test]
    fn what_changes_is_shown_with_the_values_that_differ() {
        let long = "x".repeat(100);
        let before = [("gone", "1"), ("page", "1"), ("same", "1")];
        let after = [("new", "1"), ("page", &*format!("\u{9b}{long}")), ("same", "1")];
        let text = planned(&before, &after);
        let lines: Vec<_> = text.lines().collect();
        for line in [
            "gone",
            "  - remove memory/functionality/gone",
            "  + create memory/functionality/new",
            "  ~ update memory/functionality/page",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
        let change = lines.iter().find(|line| line.starts_with("      service: ")).unwrap();
        assert!(change.contains("1\\\"") && change.contains("\\u{9b}xxx"), "{change}");
        assert!(change.ends_with("xxx…"), "{change}");
        assert!(!text.contains('\u{9b}') && change.chars().count() < 200, "{text}");
        let counts = "1 to create, 1 to update, 0 to replace, 1 to remove; 2 unchanged";
        assert_eq!(lines.last(), Some(&counts), "{text}");
    }

    #[test]
    fn a_long_value_is_cut_around_its_first_difference() {
        let long = "a".repeat(100) + "b";
        assert_eq!(shown("short", 3), "short");
        assert_eq!(shown(&long, 100), format!("…{}b", "a".repeat(20)));
        assert_eq!(shown(&long, 0), format!("{}…", "a".repeat(60)));
    }
}
