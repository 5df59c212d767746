//! `deployix destroy`: removes what was made, dependents first.

use deployix::core::{
    backend::{OwnedSite, Registry},
    diagnostic::{Diagnostics, Staged},
    plan::{Only, compile, destroy, ordered_by},
    spec::Deployment,
    topology::{connect, place, resolve},
};

use super::carry_out::Work;
use crate::{
    arguments::Destroy,
    journal::{self, Journal},
    pipeline,
    session::{Exit, Session},
};

pub(crate) fn run(arguments: &Destroy, session: &Session) -> Exit {
    journal::wait(session, remove(arguments, session))
}

async fn remove(arguments: &Destroy, session: &Session) -> Exit {
    let registry = deployix::registry();
    let Staged { value: deployment, diagnostics } = pipeline::load(&arguments.specs.file);
    let work = match deployment {
        None => Work::none(diagnostics),
        // What is wrong in the specs is no reason to keep what stands.
        Some(deployment) => match planned(deployment, arguments, &registry).await {
            Ok(work) => work,
            Err(found) => Work::none(found),
        },
    };
    let question = match arguments.volumes {
        true => "remove this, with the data in it?",
        false => "remove this?",
    };
    work.carry_out(question, arguments.yes, &registry, session).await
}

async fn planned(
    deployment: Deployment,
    arguments: &Destroy,
    registry: &Registry,
) -> Result<Work, Diagnostics> {
    let mut found = Diagnostics::new();
    let journal = Journal::open(&deployment).await?;
    journal.settle(registry).await?;
    let take_over = arguments.take_over.clone();
    let heads = journal.heads().await?.described_by(&deployment.infrastructure);
    let mut heads = heads.taking_over(take_over.clone());
    let described: Vec<OwnedSite> = deployment.infrastructure.sites().map(Into::into).collect();
    let connected = resolve(deployment, registry)
        .then(|resolved| place(resolved.recalling(&heads.sites), &heads.assignments, registry))
        .then(|placed| connect(placed, registry))
        .value;
    // So that what was made and then forgotten goes as well, also by a history that is lost.
    for site in described.into_iter().chain(connected.sites().map(Into::into)) {
        heads.sites.entry(site.target.name.clone()).or_insert(site);
    }
    let sites = heads.sites.values().cloned();
    let (mut heads, drift) = journal.look(&heads, sites, registry, &mut found).await;
    if heads.open.keys().any(|id| !heads.resources.contains_key(id)) {
        heads = ordered_by(heads, &compile(connected, registry, None).value);
    }
    let only = match arguments.only.as_slice() {
        [] => Only::All,
        names => {
            let Staged { value, diagnostics } = Only::standing(names.iter().cloned(), &heads);
            if !diagnostics.is_empty() {
                found.extend(diagnostics);
                return Err(found);
            }
            value
        }
    };
    let Staged { value: plan, diagnostics } =
        destroy(&journal.deployment, &heads, &only, arguments.volumes);
    found.extend(diagnostics);
    let asked = match only {
        Only::Named(names) => Some(names),
        Only::All => None,
    };
    Ok(Work { plan: Some((journal, plan)), drift, found, asked, take_over })
}
