//! Sets of functionalities that succeed or are put back together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, Ties};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    name::Name,
    suggest::nearest,
};

/// Checks that the sets name functionalities that exist, each in one set alone; what is told is
/// taken out of them.
pub(super) fn check(
    ties: &mut Ties,
    nodes: &[Node],
    failed: &BTreeSet<Name>,
    incomplete: bool,
    found: &mut Diagnostics,
) {
    let sets = std::mem::take(&mut ties.atomic);
    let place = |at: usize| ties.source.as_ref()?.place(&["atomic", &at.to_string()]);
    let mut first: BTreeMap<Name, usize> = BTreeMap::new();
    let mut checked = Vec::with_capacity(sets.len());
    for (at, set) in sets.into_iter().enumerate() {
        let mut kept = BTreeSet::new();
        for name in set {
            let exists = nodes.binary_search_by(|node| node.name().cmp(&name)).is_ok();
            if !exists && !failed.contains(&name) {
                let unknown = if incomplete { super::hidden(&name) } else { unknown(&name, nodes) };
                found.push(unknown.at(place(at)));
                continue;
            }
            if let Some(first) = first.get(&name) {
                let message = format!("`{name}` is in two atomic sets");
                let overlap = Diagnostic::error(Code::ValuesConflict, message)
                    .at(place(at))
                    .remedy("make one set of the two, or take it out of one")
                    .related("the first one is here", place(*first));
                found.push(overlap);
                continue;
            }
            first.insert(name.clone(), at);
            kept.insert(name);
        }
        // One alone succeeds or fails by itself.
        if kept.len() > 1 {
            checked.push(kept);
        }
    }
    ties.atomic = checked;
}

fn unknown(name: &Name, nodes: &[Node]) -> Diagnostic {
    let message =
        format!("`{name}` is in an atomic set, and there is no functionality of this name");
    let known = nodes.iter().map(|node| node.name().as_str());
    let remedy = match nearest(name.as_str(), known) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "name a functionality of one of the catalogs".to_owned(),
    };
    Diagnostic::error(Code::ReferenceUnknown, message).remedy(remedy)
}
