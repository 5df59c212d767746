//! What a deployment is compiled to beside a history, for tests of several crates.

use deployix_core::{
    backend::Registry,
    diagnostic::Staged,
    history::{Heads, Standing},
    plan::{Compiled, compile},
    spec::Deployment,
    topology::{connect, place, resolve},
};

/// Compiles a deployment of which this stands.
pub(crate) fn compiled(
    deployment: Deployment,
    heads: &Heads,
    registry: &Registry,
) -> Staged<Compiled> {
    resolve(deployment, registry)
        .then(|resolved| place(resolved.recalling(&heads.sites), &heads.assignments, registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, None))
}

/// What stands once all of it was deployed.
pub(crate) fn standing(compiled: &Compiled) -> Heads {
    let mut heads = Heads::default();
    for (resource, site) in compiled.sited() {
        let standing = Standing::new(resource.clone(), site.target.name.clone(), 1);
        heads.resources.insert(resource.id().clone(), standing);
        heads.sites.insert(site.target.name.clone(), site.into());
    }
    heads.assignments = compiled.connected().assignments();
    heads
}
