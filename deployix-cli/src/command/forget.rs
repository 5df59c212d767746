//! `deployix forget`: takes a target that nobody will reach again for gone.
//!
//! It is about the history alone, and so the same for every backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use deployix::core::{
    Name, ResourceId,
    backend::{Owner, Registry},
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    execute::{Forgettable, Forgot, forget, observe},
    history::{Heads, Holder},
    spec::Deployment,
    suggest::nearest,
};
use serde::Serialize;

use crate::{
    arguments::Forget,
    journal::{self, Journal, unusable},
    pipeline,
    session::{Answer, Exit, Session},
};

/// What `--json` prints.
#[derive(Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    deployment: Option<Name>,
    /// What is to be forgotten, by target.
    targets: BTreeMap<Name, Told>,
    /// The generation in which that was written down; nothing where it was not.
    generation: Option<u64>,
    diagnostics: Diagnostics,
}

/// What the history tells of one target.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    functionalities: BTreeSet<Name>,
    resources: Vec<ToldResource>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ToldResource {
    id: ResourceId,
    owner: Owner,
    holds_data: bool,
}

pub(crate) fn run(arguments: Forget, session: &Session) -> Exit {
    let (targets, file) = match words(arguments.words) {
        Ok(words) => words,
        Err(message) => {
            session.say(&format!("error: {message}\n"));
            return Exit::Usage;
        }
    };
    journal::wait(session, carry_out(&targets, &file, arguments.yes, session))
}

/// Which word is what: a file's name has a dot or a slash in it, and no target's has.
fn words(words: Vec<PathBuf>) -> Result<(BTreeSet<Name>, PathBuf), String> {
    let (mut targets, mut file) = (BTreeSet::new(), None);
    for word in words {
        match word.to_str().map(Name::new) {
            Some(Ok(name)) => drop(targets.insert(name)),
            _ if file.is_none() => file = Some(word),
            _ => return Err(format!("`{}` is one file too many", word.display())),
        }
    }
    if targets.is_empty() {
        return Err("name a target to forget".to_owned());
    }
    Ok((targets, file.unwrap_or_else(|| "deployment.toml".into())))
}

async fn carry_out(targets: &BTreeSet<Name>, file: &Path, yes: bool, session: &Session) -> Exit {
    let registry = deployix::registry();
    let mut document = Document::default();
    let Staged { value: deployment, diagnostics } = pipeline::load(file);
    let read = match &deployment {
        None => Err(diagnostics),
        // What is wrong in the specs does not change what happened.
        Some(deployment) => read(deployment, targets, &registry).await,
    };
    document.deployment = deployment.map(|deployment| deployment.name);
    let (journal, found, all) = match read {
        Ok(read) => read,
        Err(found) => return document.finish(found, Exit::Failed, session),
    };
    document.targets = all.iter().map(Told::of).collect();
    session.tell(&found);
    document.diagnostics = found;
    let text = document.text();
    if !session.json {
        session.print(&text);
    } else if !yes {
        session.say(&text);
    }
    if !yes {
        match session.ask("forget this?") {
            Answer::Yes => {}
            Answer::No => {
                session.say("nothing was forgotten\n");
                return document.finish(Diagnostics::new(), Exit::Failed, session);
            }
            Answer::Nobody => {
                let why = "there is no terminal to ask on whether to go on";
                session.say(&format!("error: {why}; nothing was forgotten: give --yes\n"));
                return document.finish(Diagnostics::new(), Exit::Usage, session);
            }
        }
    }
    let refused = match forget(&journal.history, all, Holder::current()).await {
        Ok(Forgot::Done(generation)) => {
            document.generation = Some(generation);
            if !session.json {
                session.print(&format!("\nforgotten; generation {generation}\n"));
            }
            return document.finish(Diagnostics::new(), Exit::Done, session);
        }
        Ok(Forgot::Held { resource, holder }) => {
            let message = format!("nothing was forgotten: {resource} is {holder}");
            let remedy = "wait until that run has ended, and say it again";
            Diagnostic::error(Code::ForgetRefused, message).remedy(remedy)
        }
        Ok(Forgot::MovedOn(target)) => {
            let message =
                format!("nothing was forgotten: what stands on `{target}` changed meanwhile");
            Diagnostic::error(Code::ForgetRefused, message).remedy("look again")
        }
        Ok(_) => Diagnostic::error(Code::ForgetRefused, "nothing was forgotten"),
        Err(error) => unusable(&error),
    };
    document.finish(refused.into(), Exit::Failed, session)
}

/// What the history tells of the targets; warns of those that answer.
async fn read(
    deployment: &Deployment,
    targets: &BTreeSet<Name>,
    registry: &Registry,
) -> Result<(Journal, Diagnostics, Vec<Forgettable>), Diagnostics> {
    let journal = Journal::open(deployment).await?;
    let heads = journal.heads().await?;
    let mut found = Diagnostics::new();
    let mut all = Vec::new();
    for (target, one) in Forgettable::of_all(targets, &heads) {
        match one {
            Some(one) => all.push(one),
            None => found.push(unknown(target, &heads)),
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    // Where it was when something was done there, whatever the specs say now.
    let sites: Vec<_> = targets.iter().filter_map(|name| heads.sites.get(name).cloned()).collect();
    let observation = observe(registry, &journal.deployment, sites).await;
    for (target, seen) in &observation.targets {
        let Ok(seen) = seen else { continue };
        let known = all.iter().find(|one| one.target == *target);
        let count = seen
            .iter()
            .filter(|observed| known.is_some_and(|one| one.resources.contains_key(&observed.id)))
            .count();
        if count > 0 {
            let message = format!(
                "target `{target}` answers, and {} there: it goes on, and nobody looks after it",
                super::counted(count, "resource stands", "resources stand")
            );
            let remedy = "use `deployix destroy` to have it removed";
            found.push(Diagnostic::warning(Code::ForgetRefused, message).remedy(remedy));
        }
    }
    Ok((journal, found, all))
}

fn unknown(target: &Name, heads: &Heads) -> Diagnostic {
    let known: BTreeSet<&Name> =
        heads.sites.keys().chain(heads.resources.values().map(|it| &it.target)).collect();
    let remedy = match nearest(target.as_str(), known.iter().map(|name| name.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name a target on which something stands".to_owned(),
    };
    let message = format!("the history knows of no target `{target}`");
    Diagnostic::error(Code::ReferenceUnknown, message).remedy(remedy)
}

impl Told {
    fn of(one: &Forgettable) -> (Name, Self) {
        let resource = |(id, resource): (&ResourceId, &deployix::core::backend::Resource)| {
            let (id, owner) = (id.clone(), resource.owner().clone());
            ToldResource { id, owner, holds_data: resource.holds_data() }
        };
        let resources = one.resources.iter().map(resource).collect();
        let functionalities = one.functionalities.clone();
        (one.target.clone(), Self { functionalities, resources })
    }
}

impl Document {
    fn text(&self) -> String {
        let mut text = String::new();
        for (target, told) in &self.targets {
            text += &format!(
                "the history forgets target {target}, with {}:\n",
                super::counted(told.resources.len(), "resource", "resources")
            );
            for ToldResource { id, owner, holds_data } in &told.resources {
                let data = if *holds_data { ", which holds data" } else { "" };
                text += &format!("  - {id} of {owner}{data}\n");
            }
            let names: Vec<_> = told.functionalities.iter().map(Name::as_str).collect();
            if !names.is_empty() {
                text += &format!("  ran there, and will be placed anew: {}\n", names.join(", "));
            }
        }
        text + "nothing is removed there: what still runs goes on, and nobody looks after it any more\n"
    }

    fn finish(mut self, found: Diagnostics, exit: Exit, session: &Session) -> Exit {
        session.tell(&found);
        self.diagnostics.extend(found);
        if session.json {
            session.print_json(&self);
        }
        exit
    }
}
