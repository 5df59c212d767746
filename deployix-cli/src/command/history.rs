//! `deployix history`: what happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use deployix::core::{
    Name, ResourceId,
    backend::Owner,
    diagnostic::{Diagnostics, Staged},
    history::{Entry, IntentAction, StepResult, Story, Told, ToldForgotten, ToldStep},
};
use serde::Serialize;

use crate::{
    arguments::History,
    journal::{self, Journal},
    pipeline,
    plain::plain,
    session::{Exit, Session},
};

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    deployment: Option<&'a Name>,
    /// What happened, run by run.
    story: &'a Story,
    /// The entries as they are; those of everybody, whoever was asked for.
    entries: &'a [Entry],
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: History, session: &Session) -> Exit {
    let (name, file) = match words(arguments.words) {
        Ok(words) => words,
        Err(message) => {
            session.say(&format!("error: {message}\n"));
            return Exit::Usage;
        }
    };
    journal::wait(session, show(name.as_ref(), &file, session))
}

/// Which word is what: a file's name has a dot or a slash in it, and nobody else's has.
fn words(words: Vec<PathBuf>) -> Result<(Option<Name>, PathBuf), String> {
    let (mut name, mut file) = (None, None);
    for word in words {
        match word.to_str().map(Name::new) {
            Some(Ok(read)) if name.is_none() => name = Some(read),
            _ if file.is_none() => file = Some(word),
            _ => return Err(format!("`{}` is one file too many", word.display())),
        }
    }
    Ok((name, file.unwrap_or_else(|| "deployment.toml".into())))
}

async fn show(name: Option<&Name>, file: &Path, session: &Session) -> Exit {
    let Staged { value: deployment, diagnostics } = pipeline::load(file);
    let mut found = Diagnostics::new();
    let mut entries = Vec::new();
    match &deployment {
        None => found = diagnostics,
        // What is wrong in the specs does not change what happened.
        Some(deployment) => {
            let read = async { Journal::open(deployment).await?.entries(0).await };
            match read.await {
                Ok(read) => entries = read,
                Err(diagnostic) => found.push(diagnostic),
            }
        }
    }
    let mut story = Story::of(&entries);
    if let Some(name) = name {
        for run in &mut story.runs {
            run.steps.retain(|step| concerns(step, name));
        }
        story.runs.retain(|run| !run.steps.is_empty());
        story.forgotten.retain(|told| {
            told.target == *name || told.resources.values().any(|owner| owns(owner, name))
        });
        story.notes.clear();
    }
    session.tell(&found);
    if session.json {
        session.print_json(&Document {
            deployment: deployment.as_ref().map(|deployment| &deployment.name),
            story: &story,
            entries: &entries,
            diagnostics: &found,
        });
    } else if !found.has_errors() {
        session.print(&text(&story, name));
    }
    Exit::of(&found)
}

/// Whether a step is about a functionality, or what carries one, or on a target of this name.
fn concerns(step: &ToldStep, name: &Name) -> bool {
    owns(&step.owner, name) || step.carries.contains(name) || step.target == *name
}

fn owns(owner: &Owner, name: &Name) -> bool {
    match owner {
        Owner::Functionality(owner) | Owner::Target(owner) | Owner::Network(owner) => owner == name,
        Owner::Edge { consumer, provider } => consumer == name || provider == name,
        _ => false,
    }
}

fn text(story: &Story, name: Option<&Name>) -> String {
    if story.runs.is_empty() && story.notes.is_empty() && story.forgotten.is_empty() {
        return match name {
            Some(name) => format!("nothing happened to `{name}`\n"),
            None => "nothing happened yet\n".to_owned(),
        };
    }
    let mut paragraphs: BTreeMap<u64, String> = BTreeMap::new();
    for run in &story.runs {
        *paragraphs.entry(run.generations.0).or_default() += &run_text(run);
    }
    for told in &story.forgotten {
        let ToldForgotten { generation, at, by, target, resources, .. } = told;
        let owners: BTreeSet<String> = resources.values().map(ToString::to_string).collect();
        let owners = owners.into_iter().collect::<Vec<_>>().join(", ");
        let count = super::counted(resources.len(), "resource", "resources");
        let of = if owners.is_empty() { String::new() } else { format!(" of {owners}") };
        *paragraphs.entry(*generation).or_default() += &format!(
            "generation {generation}, {at:.0}, {}\n  target {target} was forgotten, with {count}{of}; \
             nothing was removed there\n",
            plain(&by.to_string())
        );
    }
    for (generation, at, by, note) in &story.notes {
        let (by, note) = (by.to_string(), plain(note));
        *paragraphs.entry(*generation).or_default() +=
            &format!("generation {generation}, {at:.0}, {}\n  {note}\n", plain(&by));
    }
    paragraphs.into_values().collect::<Vec<_>>().join("\n")
}

fn run_text(run: &Told) -> String {
    let Told { run: id, by, generations: (first, last), times: (begun, heard), ended, .. } = run;
    let by = by.as_ref().map_or_else(|| "somebody".to_owned(), ToString::to_string);
    let mut text = format!("generations {first} to {last}, {begun:.0} to {heard:.0}, ");
    text += &plain(&by);
    text += &format!(", run {id}{}\n", if *ended { "" } else { ", not ended" });
    if run.steps.is_empty() {
        text += "  no resource was changed\n";
    }
    let mut by_owner: BTreeMap<&Owner, Vec<&ToldStep>> = BTreeMap::new();
    for step in &run.steps {
        by_owner.entry(&step.owner).or_default().push(step);
    }
    for (owner, steps) in by_owner {
        let mut what = Vec::new();
        let count = |is: &dyn Fn(&ToldStep) -> bool| steps.iter().filter(|s| is(s)).count();
        let ended = |step: &ToldStep, result: &dyn Fn(&StepResult) -> bool| {
            step.end.as_ref().is_some_and(|(end, ..)| result(end))
        };
        let made = count(&|s| ended(s, &|end| matches!(end, StepResult::Made { .. })));
        let removed = count(&|s| ended(s, &|end| matches!(end, StepResult::Removed)));
        for (count, word) in [(made, "made"), (removed, "removed")] {
            if count > 0 {
                what.push(format!("{word} {}", super::counted(count, "resource", "resources")));
            }
        }
        let bad: Vec<String> = steps.iter().filter_map(|step| bad(step)).collect();
        if !bad.is_empty() {
            what.push(format!("{} failed or not known", bad.len()));
        }
        text += &format!("  {owner}: {}\n", what.join(", "));
        bad.iter().for_each(|line| text += line);
    }
    text
}

/// What did not go well with a step.
fn bad(step: &ToldStep) -> Option<String> {
    let told = |id: &ResourceId, what: &str| {
        let mut lines = what.lines().map(plain);
        let mut text = format!("    {id}: {}\n", lines.next().unwrap_or_default());
        lines.for_each(|line| text += &format!("      {line}\n"));
        text
    };
    let doing = match step.action {
        IntentAction::Make => "making",
        IntentAction::Remove => "removing",
    };
    match &step.end {
        Some((StepResult::Failed { error, as_it_was }, ..)) => {
            let stands = if *as_it_was { "as it was before" } else { "in doubt" };
            Some(told(&step.resource, &format!("{doing} it failed ({stands}): {error}")))
        }
        None => {
            Some(told(&step.resource, &format!("{doing} it began, and how it ended is not told")))
        }
        Some(_) => None,
    }
}
