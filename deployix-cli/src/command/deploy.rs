//! `deployix deploy`: makes it real.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use deployix::core::{
    Name,
    backend::Registry,
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    history::Story,
    load::{Format, SpecFile, load_catalog},
    plan::{HowMoved, Moved, Plan, moved_on, plan},
    spec::Deployment,
};

use super::carry_out::Work;
use crate::{
    arguments::Deploy,
    journal::{self, Journal, Looks},
    pipeline, plan_file,
    session::{Exit, Session},
};

const QUESTION: &str = "deploy this?";

pub(crate) fn run(arguments: &Deploy, session: &Session) -> Exit {
    journal::wait(session, deploy(arguments, session))
}

async fn deploy(arguments: &Deploy, session: &Session) -> Exit {
    let registry = deployix::registry();
    let files = match Files::of(&arguments.files) {
        Ok(files) => files,
        Err(message) => {
            session.say(&format!("error: {message}\n"));
            return Exit::Usage;
        }
    };
    if arguments.plan.is_some() && !files.catalogs.is_empty() {
        session.say("error: a saved plan says itself what it is about: leave the catalogs out\n");
        return Exit::Usage;
    }
    let Staged { value: deployment, diagnostics: mut found } = pipeline::load(&files.deployment);
    let work = match (deployment, &arguments.plan) {
        (None, _) => Work::none(found),
        (Some(deployment), Some(file)) => {
            // Whatever the specs say now: the plan says what is to be done.
            match saved(file, &deployment).await {
                Ok(plan) => Work {
                    plan: Some(plan),
                    take_over: arguments.take_over.clone(),
                    ..Work::default()
                },
                Err(refused) => Work::none(refused),
            }
        }
        (Some(mut deployment), None) => {
            let apps = with_catalogs(&mut deployment, &files.catalogs, &mut found);
            let asked = apps.map(|apps| apps.into_iter().chain(arguments.only.clone()).collect());
            match asked {
                Some(asked) => {
                    let take_over = arguments.take_over.clone();
                    let looks = Looks { settle: true, refresh: !arguments.no_refresh, take_over };
                    planned(deployment, asked, looks, &registry, found).await
                }
                None => Work::none(found),
            }
        }
    };
    work.carry_out(QUESTION, arguments.yes, &registry, session).await
}

/// Plans what is asked for; all of it where nothing is asked for by name.
async fn planned(
    deployment: Deployment,
    asked: BTreeSet<Name>,
    looks: Looks,
    registry: &Registry,
    mut found: Diagnostics,
) -> Work {
    let take_over = looks.take_over.clone();
    let staged = journal::ready(deployment, registry, looks).await;
    found.extend(staged.diagnostics);
    found.sort();
    let Some(ready) = staged.value else { return Work::none(found) };
    let asked: Vec<Name> = asked.into_iter().collect();
    let Some(only) = super::plan::only(&asked, &ready, &mut found) else {
        return Work::none(found);
    };
    let plan = plan(&ready.compiled, &ready.heads, registry, &only);
    let asked = (!asked.is_empty()).then(|| asked.into_iter().collect());
    Work { plan: Some((ready.journal, plan)), drift: ready.drift, found, asked, take_over }
}

/// Which of the files that were named are what.
struct Files {
    deployment: PathBuf,
    catalogs: Vec<PathBuf>,
}

impl Files {
    /// What has a name ties everything together; anything else is a catalog.
    fn of(files: &[PathBuf]) -> Result<Self, String> {
        let (deployments, catalogs): (Vec<_>, Vec<_>) =
            files.iter().cloned().partition(|file| !is_catalog(file));
        match deployments.as_slice() {
            [] => Ok(Self { deployment: "deployment.toml".into(), catalogs }),
            [one] => Ok(Self { deployment: one.clone(), catalogs }),
            [one, other, ..] => Err(format!(
                "`{}` and `{}` are both deployments: name one of them, and catalogs",
                one.display(),
                other.display()
            )),
        }
    }
}

/// Whether a file or folder is what a repository exports. What cannot be read is taken for a
/// deployment, so that it is told why.
fn is_catalog(path: &Path) -> bool {
    if path.is_dir() {
        let has = |stem: &str| {
            ["toml", "yaml", "yml", "json"]
                .iter()
                .any(|ending| path.join(stem).with_extension(ending).exists())
        };
        return has("deployix") && !has("deployment");
    }
    if path.file_stem().is_some_and(|stem| stem == "deployix") && Format::of(path).is_some() {
        return true;
    }
    SpecFile::read(path, "deployix").is_ok_and(|file| !file.has_key("name"))
}

/// Adds catalogs that the deployment does not list; gives the names of all that these and the
/// listed ones among them export. Nothing where there is nothing to deploy in one of them.
fn with_catalogs(
    deployment: &mut Deployment,
    files: &[PathBuf],
    found: &mut Diagnostics,
) -> Option<Vec<Name>> {
    let real = |path: &str| std::fs::canonicalize(path).ok();
    let mut names = Vec::new();
    let mut whole = true;
    for file in files {
        let Staged { value: catalog, diagnostics } = load_catalog(file);
        let own: Vec<Name> = catalog
            .functionalities
            .iter()
            .map(|functionality| functionality.name().clone())
            .chain(catalog.unreadable.iter().cloned())
            .collect();
        if own.is_empty() && !diagnostics.has_errors() {
            let message = format!("`{}` exports no functionality", file.display());
            found.push(Diagnostic::error(Code::ReferenceUnknown, message));
        }
        whole &= !own.is_empty();
        names.extend(own);
        let path = catalog.source.as_ref().and_then(|source| real(source.file()));
        let listed = deployment.catalogs.iter().any(|listed| {
            let listed = listed.source.as_ref().and_then(|source| real(source.file()));
            listed.is_some() && listed == path
        });
        if !listed {
            found.extend(diagnostics);
            deployment.incomplete |= catalog.incomplete;
            deployment.catalogs.push(catalog);
        }
    }
    whole.then_some(names)
}

/// A plan that was saved; refused where it is not one of this deployment's, or where what it
/// touches has moved on.
async fn saved(file: &Path, deployment: &Deployment) -> Result<(Journal, Plan), Diagnostics> {
    let plan = plan_file::read(file).map_err(|error| *error)?;
    let shown = file.display();
    if plan.deployment != deployment.name {
        let message = format!(
            "`{shown}` is a plan for `{}`, and this deployment is `{}`",
            plan.deployment, deployment.name
        );
        return Err(Diagnostic::error(Code::PlanRefused, message).into());
    }
    let journal = Journal::open(deployment).await?;
    let heads = journal.heads().await?;
    if plan.generation > heads.generation {
        let message = format!(
            "`{shown}` starts from generation {}, and the history has come to {}: it is of another \
             history",
            plan.generation, heads.generation
        );
        return Err(Diagnostic::error(Code::PlanRefused, message).remedy("plan anew").into());
    }
    let moved = moved_on(&plan, &heads);
    if moved.is_empty() {
        return Ok((journal, plan));
    }
    // Who did it may have begun before the plan was made.
    let story = Story::of(&journal.entries(0).await?);
    Err(moved.iter().map(|moved| refused(&shown.to_string(), moved, &story)).collect())
}

/// That a resource has moved on: what, who and when.
fn refused(file: &str, moved: &Moved, story: &Story) -> Diagnostic {
    let Moved { resource, owner, how, .. } = moved;
    let last = story.last(resource);
    let by = last.and_then(|(run, _)| run.by.as_ref());
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let at = last.and_then(|(_, step)| step.end.as_ref()).map(|(_, _, at)| format!(" at {at:.0}"));
    let at = at.unwrap_or_default();
    let what = match how {
        HowMoved::Made { since } => format!("was made meanwhile{by}{at}, in generation {since}"),
        HowMoved::Changed { since } => {
            format!("was changed meanwhile{by}{at}, in generation {since}")
        }
        HowMoved::Removed => format!("was removed meanwhile{by}{at}"),
        HowMoved::Begun { since, .. } => {
            format!("is being changed{by} since generation {since}, or that was given up")
        }
        _ => "has moved on".to_owned(),
    };
    let message = format!("`{file}` is not carried out: {resource} of `{owner}` {what}");
    let diagnostic = Diagnostic::error(Code::PlanRefused, message).remedy("plan anew");
    match owner {
        deployix::core::backend::Owner::Functionality(name) => diagnostic.about(name),
        _ => diagnostic,
    }
}
