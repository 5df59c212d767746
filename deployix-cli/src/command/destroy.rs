//! `deployix destroy`: removes what was made, dependents first.

use deployix::core::{
    backend::Registry,
    diagnostic::{Diagnostics, Staged},
    plan::{Only, destroy},
    spec::Deployment,
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
        Some(deployment) => match planned(&deployment, arguments, &registry).await {
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
    deployment: &Deployment,
    arguments: &Destroy,
    registry: &Registry,
) -> Result<Work, Diagnostics> {
    let mut found = Diagnostics::new();
    let journal = Journal::open(deployment).await?;
    journal.settle(registry).await?;
    let heads = journal.heads().await?.described_by(&deployment.infrastructure);
    // So that what was made and then forgotten goes as well.
    let sites = heads.sites.values().cloned();
    let (heads, drift) = journal.look(&heads, sites, registry, &mut found).await;
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
        destroy(&deployment.name, &heads, &only, arguments.volumes);
    found.extend(diagnostics);
    let asked = match only {
        Only::Named(names) => Some(names),
        Only::All => None,
    };
    Ok(Work { plan: Some((journal, plan)), drift, found, asked, ..Work::default() })
}
