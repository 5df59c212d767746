//! Turns: what does the same work beside each other is changed one place after the other.

use std::collections::{BTreeMap, BTreeSet};

use super::{difference::gives_others, order::Draft};
use crate::{
    backend::{Resource, Turn},
    history::{Heads, Standing},
    name::{Name, ResourceId},
};

/// Those whose turns follow each other: backend and name.
type Group<'a> = (&'a str, &'a Name);

/// The drafts of one place, by position.
#[derive(Debug, Default)]
struct Place {
    drafts: Vec<usize>,
    /// Whether something stands of it, which a change may take out of service.
    stands: bool,
    /// Whether it may be out of service as it is: it is not known what stands, or a run ended before
    /// some of it came to know the rest.
    is_out: bool,
}

/// Has what stands in a turn and changes wait for all that changes at the places before, and what goes
/// wait for all that is made of its turn, as it may serve as long; what serves the turn itself also for
/// what goes of it.
///
/// Places that may be out of service come first, so that no other is out beside them; the others by
/// number. What is new waits for nobody, and nobody that stands waits for a place that is new as a whole.
pub(super) fn take(changed: &mut [Draft<'_>], removals: &mut [Draft<'_>], heads: &Heads) {
    let mut groups: BTreeMap<Group<'_>, BTreeMap<u32, Place>> = BTreeMap::new();
    for (at, draft) in changed.iter().enumerate() {
        let Some((group, number)) = turn(draft.resource) else { continue };
        let place = groups.entry(group).or_default().entry(number).or_default();
        place.drafts.push(at);
        let Some(from) = draft.from else { continue };
        place.stands = true;
        place.is_out |= draft.doubt.is_some() || is_behind(from, heads);
    }
    let ids = |place: &Place| -> Vec<ResourceId> {
        place.drafts.iter().map(|at| changed[*at].resource.id().clone()).collect()
    };
    let mut waits = Vec::new();
    for places in groups.values() {
        let mut order: Vec<&Place> = places.values().filter(|place| place.stands).collect();
        order.sort_by_key(|place| !place.is_out);
        for pair in order.windows(2) {
            let before = ids(pair[0]);
            let standing = pair[1].drafts.iter().filter(|at| changed[**at].from.is_some());
            waits.extend(standing.map(|at| (*at, before.clone())));
        }
    }
    let mut going: BTreeMap<Group<'_>, Vec<ResourceId>> = BTreeMap::new();
    for draft in removals.iter() {
        if let Some((group, _)) = turn(draft.resource) {
            going.entry(group).or_default().push(draft.resource.id().clone());
        }
    }
    for draft in removals {
        let resource = draft.resource;
        let serves = resource.serves().iter().map(|group| (resource.backend(), group));
        let serves: Vec<Group<'_>> = serves.collect();
        let waits_for = turn(resource).map(|(group, _)| group).into_iter().chain(serves.clone());
        let places = waits_for.filter_map(|group| groups.get(&group)).flat_map(BTreeMap::values);
        let gone = serves.iter().filter_map(|group| going.get(group)).flatten().cloned();
        wait(draft, places.flat_map(ids).chain(gone));
    }
    for (at, before) in waits {
        wait(&mut changed[at], before);
    }
}

/// Whether something was made from other outputs than stand.
fn is_behind(standing: &Standing, heads: &Heads) -> bool {
    let mut behind = false;
    for input in standing.resource.inputs().values() {
        input.visit_outputs(&mut |output| {
            behind |= gives_others(heads, &output.resource, standing.since);
        });
    }
    behind
}

fn turn(resource: &Resource) -> Option<(Group<'_>, u32)> {
    let Turn { group, place } = resource.turn()?;
    Some(((resource.backend(), group), *place))
}

/// Has a draft wait its turn behind others.
fn wait(draft: &mut Draft<'_>, others: impl IntoIterator<Item = ResourceId>) {
    let needed: BTreeSet<ResourceId> = draft.after.iter().cloned().collect();
    draft.behind.extend(others.into_iter().filter(|other| !needed.contains(other)));
    if !draft.behind.is_empty() {
        draft.after = needed.union(&draft.behind).cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::{Input, Inputs, Owner},
        plan::{PlannedAction, order::At},
    };

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// A machine of a pool, and a part that reads its output.
    fn pair(group: &str, place: u32) -> [Resource; 2] {
        let id = |what: &str| ResourceId::new(format!("m/{group}/{place}/{what}")).unwrap();
        let reads = Inputs::from([("machine", Input::output(id("machine"), "id"))]);
        let make = |what: &str, inputs: Inputs| {
            let made = Resource::new(id(what), Owner::Target(name(group)), inputs, []);
            made.in_turn(name(group), place)
        };
        [make("machine", Inputs::new()), make("part", reads)]
    }

    fn stands(resources: &[Resource]) -> Vec<Option<Standing>> {
        resources.iter().map(|it| Some(Standing::new(it.clone(), name("t"), 1))).collect()
    }

    fn draft<'a>(
        resource: &'a Resource,
        from: Option<&'a Standing>,
        action: PlannedAction,
    ) -> Draft<'a> {
        let after = resource.after().into();
        let (target, changes) = (At::Site(0), Vec::new());
        let (gap, doubt, behind) = (None, None, BTreeSet::new());
        Draft { resource, target, action, from, gap, doubt, changes, after, behind }
    }

    fn drafts<'a>(all: &'a [Resource], from: &'a [Option<Standing>]) -> Vec<Draft<'a>> {
        let action = |from: &Option<Standing>| match from {
            Some(_) => PlannedAction::Replace,
            None => PlannedAction::Create,
        };
        let all = all.iter().zip(from);
        all.map(|(it, from)| draft(it, from.as_ref(), action(from))).collect()
    }

    /// What each draft comes after, without the backend.
    fn lines(drafts: &[Draft<'_>]) -> Vec<String> {
        let short = |id: &ResourceId| id.as_str().trim_start_matches("m/").to_owned();
        let line = |draft: &Draft<'_>| {
            let after: Vec<_> = draft.after.iter().map(short).collect();
            format!("{}: {}", short(draft.resource.id()), after.join(" "))
        };
        drafts.iter().map(line).collect()
    }

    #[test]
    fn what_stands_waits_for_the_places_before_and_other_groups_do_not() {
        let all = [pair("a", 0), pair("a", 2), pair("b", 1)].concat();
        let from = stands(&all);
        let mut changed = drafts(&all, &from);
        take(&mut changed, &mut [], &Heads::default());
        let wanted = [
            "a/0/machine: ",
            "a/0/part: a/0/machine",
            "a/2/machine: a/0/machine a/0/part",
            "a/2/part: a/0/machine a/0/part a/2/machine",
            "b/1/machine: ",
            "b/1/part: b/1/machine",
        ];
        assert_eq!(lines(&changed), wanted);
        // Its own machine is what a part needs.
        let behind = changed[3].behind.iter().map(|id| id.as_str().trim_start_matches("m/"));
        assert_eq!(behind.collect::<Vec<_>>(), ["a/0/machine", "a/0/part"]);
    }

    #[test]
    fn what_is_new_waits_for_nobody() {
        let all = [pair("a", 0), pair("a", 1), pair("a", 2)].concat();
        let mut from = stands(&all);
        from[0..2].fill(None);
        // A new part of what stands.
        from[3] = None;
        let mut changed = drafts(&all, &from);
        take(&mut changed, &mut [], &Heads::default());
        let wanted = [
            "a/0/machine: ",
            "a/0/part: a/0/machine",
            "a/1/machine: ",
            "a/1/part: a/1/machine",
            "a/2/machine: a/1/machine a/1/part",
            "a/2/part: a/1/machine a/1/part a/2/machine",
        ];
        assert_eq!(lines(&changed), wanted);
    }

    #[test]
    fn what_is_in_doubt_comes_first() {
        let all = [pair("a", 0), pair("a", 1)].concat();
        let from = stands(&all);
        let mut changed = drafts(&all, &from);
        changed[3].doubt = Some("it did not get healthy".to_owned());
        take(&mut changed, &mut [], &Heads::default());
        let wanted = [
            "a/0/machine: a/1/machine a/1/part",
            "a/0/part: a/0/machine a/1/machine a/1/part",
            "a/1/machine: ",
            "a/1/part: a/1/machine",
        ];
        assert_eq!(lines(&changed), wanted);
    }

    #[test]
    fn what_a_run_left_before_it_knew_the_rest_comes_first() {
        let all = [pair("a", 0), pair("a", 1)].concat();
        let from = stands(&all);
        let mut heads = Heads::default();
        for standing in from.iter().flatten() {
            heads.resources.insert(standing.resource.id().clone(), standing.clone());
        }
        heads.resources.get_mut(all[2].id()).unwrap().outputs_since = Some(2);
        let mut changed = drafts(&all, &from);
        take(&mut changed, &mut [], &heads);
        let [first, _, second, _] = lines(&changed).try_into().unwrap();
        assert_eq!(first, "a/0/machine: a/1/machine a/1/part");
        assert_eq!(second, "a/1/machine: ");
    }

    #[test]
    fn what_serves_a_turn_goes_after_all_that_changes_or_goes_of_it() {
        let all = [pair("a", 0), pair("b", 0)].concat();
        let from = stands(&all);
        let mut changed = drafts(&all, &from);
        let [machine, _] = pair("a", 1);
        let rule = ResourceId::new("m/rule").unwrap();
        let rule = Resource::new(rule, Owner::Target(name("t")), Inputs::new(), []);
        let going = [machine, rule.serving([name("a"), name("unknown")])];
        let mut removals =
            going.iter().map(|it| draft(it, None, PlannedAction::Remove)).collect::<Vec<_>>();
        take(&mut changed, &mut removals, &Heads::default());
        let wanted =
            ["a/1/machine: a/0/machine a/0/part", "rule: a/0/machine a/0/part a/1/machine"];
        assert_eq!(lines(&removals), wanted);
    }

    #[test]
    fn what_goes_serves_until_the_others_are_changed() {
        let all = [pair("a", 0), pair("a", 1)].concat();
        let (going, from) = (pair("a", 2), stands(&all));
        let mut changed = drafts(&all, &from);
        let mut removals =
            going.iter().map(|it| draft(it, None, PlannedAction::Remove)).collect::<Vec<_>>();
        take(&mut changed, &mut removals, &Heads::default());
        let machine = &lines(&removals)[0];
        assert_eq!(machine, "a/2/machine: a/0/machine a/0/part a/1/machine a/1/part");
    }
}
