//! What commands show as tables: how a plan that was carried out ended, and what runs where.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{Table, presets::NOTHING};
use deployix::core::{
    Name, ResourceId,
    backend::{Owner, Resource},
    diagnostic::Diagnostics,
    execute::{Fate, Held, Report, StepEnd, Waiting},
    history::Heads,
    plan::Plan,
};

use crate::{
    plain::plain,
    plan_text::blocked,
    progress::{Logs, fate_word, mark},
};

/// A table without lines: its columns are as wide as what is in them.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.map(str::to_uppercase));
    for row in rows {
        table.add_row(row.each_ref().map(|cell| plain(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// How a plan that was carried out ended: the truth about each functionality, and all that is known
/// of why one failed.
///
/// `heads` is what the history tells after it, where it can be read.
/// `found` is what was told before.
pub(crate) fn closing(
    plan: &Plan,
    found: &Diagnostics,
    report: &Report,
    heads: Option<&Heads>,
    logs: &Logs,
) -> String {
    let mut rows = Vec::new();
    let (targets, took_along) = places(plan);
    for (owner, fate) in &report.fates {
        // What is not for people's own things is shown where it did not go well, and where it took
        // those that run by it along.
        let is_own = matches!(owner, Owner::Functionality(_));
        if is_own || took_along.contains(owner) || !fate.is_good() {
            let happened =
                format!("{} {}", if fate.is_good() { "✔" } else { "✘" }, fate_word(fate));
            rows.push([
                owner.to_string(),
                targets.get(owner).map(listed).unwrap_or_default(),
                happened,
                why(owner, report, heads),
            ]);
        }
    }
    let blocked = blocked(plan, found);
    for name in &plan.left {
        let owner = Owner::Functionality(name.clone());
        if !report.fates.contains_key(&owner) {
            let (happened, why) = match blocked.contains(name) {
                true => ("✘ blocked", "what it needs is described wrongly, see above"),
                false => ("✘ left as it was", "what describes it is wrong, see above"),
            };
            rows.push([name.to_string(), String::new(), happened.to_owned(), why.to_owned()]);
        }
    }
    for name in &plan.waiting {
        let why = "it needs what is held back until what failed is mended".to_owned();
        rows.push([name.to_string(), String::new(), "✘ left as it was".to_owned(), why]);
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text += &table(["functionality", "target", "what happened", "why"], &rows);
    }
    let owners: BTreeMap<_, _> = plan.steps.iter().map(|step| (step.id(), step.owner())).collect();
    for (owner, fate) in &report.fates {
        if let Fate::Failed { errors } = fate {
            // What carries others failed for all of them, and is told once.
            let is_own = |id: &ResourceId| owners.get(id).is_none_or(|its| *its == owner);
            for (resource, error) in errors.iter().filter(|(id, _)| is_own(id)) {
                text += &format!("\n{} {owner}: {resource}\n", mark(false));
                text += &indented(error.lines());
                let told = logs.get(resource).into_iter().flatten().map(String::as_str);
                let told: Vec<_> = told.filter(|line| !error.contains(line.trim())).collect();
                if !told.is_empty() {
                    text += "  the last that it told:\n";
                    text += &indented(told.into_iter());
                }
            }
            let turns = turns(plan, report, owner);
            if !turns.is_empty() {
                text += &indented([waiting(&turns).as_str()].into_iter());
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text += &tally(plan, report);
    if !plan.data_kept.is_empty() {
        let kept: Vec<_> = plan.data_kept.iter().map(ResourceId::as_str).collect();
        text += &format!("kept, since it holds data: {}\n", kept.join(", "));
    }
    text
}

/// How many of those that the plan is about are as they should be; of connections and the like alone, how
/// many steps were done.
fn tally(plan: &Plan, report: &Report) -> String {
    use super::command::counted;

    let mut all: BTreeMap<&Name, bool> = BTreeMap::new();
    all.extend(plan.left.iter().chain(&plan.waiting).map(|name| (name, false)));
    for (owner, fate) in &report.fates {
        if let Owner::Functionality(name) = owner
            && *fate != Fate::Prepared
        {
            all.insert(name, fate.is_good());
        }
    }
    let good = all.values().filter(|good| **good).count();
    let done = match all.len() {
        0 => {
            let done = report.steps.values().filter(|end| end.is_good()).count();
            format!("{done} of {}", counted(plan.steps.len(), "step", "steps"))
        }
        all => format!("{good} of {}", counted(all, "functionality", "functionalities")),
    };
    let unchanged = counted(plan.kept, "resource", "resources");
    format!("{done} done; generation {}; {unchanged} unchanged\n", report.generation)
}

/// The targets of each owner's steps, and of what carries it; and the owners of what carries others.
fn places(plan: &Plan) -> (BTreeMap<Owner, BTreeSet<&Name>>, BTreeSet<&Owner>) {
    let mut targets: BTreeMap<Owner, BTreeSet<&Name>> = BTreeMap::new();
    let mut took_along = BTreeSet::new();
    for step in &plan.steps {
        targets.entry(step.owner().clone()).or_default().insert(&step.target);
        for name in step.carries() {
            took_along.insert(step.owner());
            let owner = Owner::Functionality(name.clone());
            targets.entry(owner).or_default().insert(&step.target);
        }
    }
    (targets, took_along)
}

fn listed(names: &BTreeSet<&Name>) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Those of an owner's steps that wait their turn.
fn turns(plan: &Plan, report: &Report, owner: &Owner) -> BTreeSet<Waiting> {
    let own = plan.steps.iter().filter(|step| step.owner() == owner);
    let ends = own.filter_map(|step| report.steps.get(step.id()));
    ends.filter_map(|end| match end {
        StepEnd::Waits(waiting) => Some(waiting.clone()),
        _ => None,
    })
    .collect()
}

/// Why it ended so, in a line.
fn why(owner: &Owner, report: &Report, heads: Option<&Heads>) -> String {
    let Some(fate) = report.fates.get(owner) else { return String::new() };
    match fate {
        Fate::Deployed | Fate::Removed | Fate::Restarted => String::new(),
        Fate::Prepared => "what others need of it stands; it is not deployed itself".to_owned(),
        Fate::Failed { errors } => {
            if let Some(by) = errors.iter().find_map(|(id, _)| report.kept_by.get(id)) {
                return format!("another history keeps it, {}", by.short());
            }
            let is_of = |resource: &Resource| match owner {
                Owner::Functionality(name) if resource.carries().contains_key(name) => true,
                _ => resource.owner() == owner,
            };
            let in_doubt =
                heads.is_some_and(|heads| heads.open.values().any(|open| is_of(&open.resource)));
            let stood = heads.is_none_or(|heads| {
                heads.resources.values().any(|standing| is_of(&standing.resource))
            });
            let stands = match (in_doubt, stood) {
                (true, _) => "what stands of it is in doubt",
                (false, true) => "as it was before",
                (false, false) => "nothing of it stands",
            };
            let error = errors.first().and_then(|(_, error)| error.lines().next());
            format!("{}; {stands}", shortened(error.unwrap_or("see below")))
        }
        Fate::Blocked { by } => {
            let by: Vec<_> = by.iter().map(|owner| format!("`{owner}`")).collect();
            format!("it needs {}", by.join(", "))
        }
        Fate::Waits { turns } => waiting(turns),
        Fate::Held { holder } => held(holder),
        Fate::MovedOn { since } => {
            format!("somebody else changed it in generation {since}; plan anew")
        }
        Fate::Interrupted => "the next deploy goes on with it".to_owned(),
        Fate::PutBack => "another one of its atomic set failed".to_owned(),
        _ => String::new(),
    }
}

/// Who holds something and since when.
pub(crate) fn held(holder: &Held) -> String {
    let Held { by, since, until, .. } = holder;
    format!("held by {by} since {since:.0}, until {until:.0} unless renewed")
}

/// What waits its turn, behind whom, and what to do.
fn waiting(turns: &BTreeSet<Waiting>) -> String {
    let mut behind: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for Waiting { turn, behind: before, why } in turns {
        behind.entry((before, why)).or_default().push(format!("`{turn}`"));
    }
    let told = behind.into_iter().map(|((before, why), waiting)| {
        let wait = if waiting.len() == 1 { "waits its turn" } else { "wait their turn" };
        let (waiting, why) = (waiting.join(", "), shortened(why));
        format!("{waiting} {wait} behind `{before}`, which was not done: {why}")
    });
    format!("{}; mend that and deploy again", told.collect::<Vec<_>>().join("; "))
}

fn shortened(text: &str) -> String {
    const MOST: usize = 90;
    let mut short: String = text.chars().take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

fn indented<'l>(lines: impl Iterator<Item = &'l str>) -> String {
    lines.map(|line| format!("    {}\n", plain(line.trim_end()))).collect()
}
