//! [`Only`]: which functionalities a plan is about.

use std::collections::BTreeSet;

use super::Compiled;
use crate::{
    backend::Owner,
    diagnostic::{Code, Diagnostic, Diagnostics, Staged},
    history::Heads,
    name::Name,
    suggest::nearest,
    topology::hidden,
};

/// Which functionalities a plan is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// These alone, what they cannot be made without, and what they run by: their machines, with
    /// all that runs there.
    Named(BTreeSet<Name>),
}

impl Only {
    /// These functionalities and load balancers of what was compiled, or stands and is described no
    /// more; a name that is none of them is told and passed over.
    pub fn named(
        names: impl IntoIterator<Item = Name>,
        compiled: &Compiled,
        heads: &Heads,
    ) -> Staged<Self> {
        let (graph, standing) = (compiled.connected().graph(), standing(heads));
        let mut found = Diagnostics::new();
        let mut known = BTreeSet::new();
        for name in names {
            let is_described = graph.knows(&name) || compiled.failed().contains(&name);
            if is_described || standing.contains(&name) {
                known.insert(name);
                continue;
            }
            if compiled.connected().is_unheard(&name) {
                found.push(hidden(&name));
                continue;
            }
            let message = format!("there is no functionality `{name}`");
            let all = graph.names().chain(compiled.failed()).chain(standing.iter().copied());
            let otherwise = "name a functionality or load balancer of the deployment";
            found.push(unknown(message, &name, all, otherwise));
        }
        Staged::new(Self::Named(known), found)
    }

    /// These functionalities and load balancers of what stands; a name of which nothing does is
    /// told and passed over.
    pub fn standing(names: impl IntoIterator<Item = Name>, heads: &Heads) -> Staged<Self> {
        let all = standing(heads);
        let mut found = Diagnostics::new();
        let mut known = BTreeSet::new();
        for name in names {
            if all.contains(&name) {
                known.insert(name);
            } else {
                let message = format!("nothing stands of a functionality `{name}`");
                let otherwise = "name one of which something stands";
                found.push(unknown(message, &name, all.iter().copied(), otherwise));
            }
        }
        Staged::new(Self::Named(known), found)
    }
}

/// The functionalities of which something stands or may stand.
fn standing(heads: &Heads) -> BTreeSet<&Name> {
    let resources = heads.resources.values().map(|standing| &standing.resource);
    let resources = resources.chain(heads.open.values().map(|open| &open.resource));
    resources
        .filter_map(|resource| match resource.owner() {
            Owner::Functionality(name) => Some(name),
            _ => None,
        })
        .collect()
}

fn unknown<'a>(
    message: String,
    name: &Name,
    all: impl Iterator<Item = &'a Name>,
    otherwise: &str,
) -> Diagnostic {
    let remedy = match nearest(name.as_str(), all.map(Name::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => otherwise.to_owned(),
    };
    Diagnostic::error(Code::ReferenceUnknown, message).remedy(remedy)
}
