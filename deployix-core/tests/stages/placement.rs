//! Where functionalities run.

use std::num::NonZeroU32;

use deployix_core::{
    diagnostic::{Code, Diagnostics},
    spec::{DefaultBackend, Deployment, Location},
    topology::Assignments,
};

use crate::support::{
    With, codes, connected, connected_with, deployment, functionality, memory, name, registry,
};

/// `functionality` on `target` machine numbers, one a line.
fn places(assignments: &Assignments) -> Vec<String> {
    let line = |(name, at): (&_, &deployix_core::topology::Assignment)| {
        format!("{name} on {} {:?}", at.target, at.machines)
    };
    assignments.iter().map(line).collect()
}

fn many(count: u16) -> Deployment {
    deployment((0..count).map(|n| functionality(&format!("s{n:02}"), 1000 + n, &[])).collect())
}

fn with_default(mut deployment: Deployment, services: u32) -> Deployment {
    let mut default = DefaultBackend::new(memory());
    default.services_per_instance = NonZeroU32::new(services);
    deployment.default_backend = Some(default);
    deployment
}

#[test]
fn new_work_goes_where_the_most_room_is() {
    let staged = connected(many(4).machine("one", None).machine("two", None));
    assert_eq!(
        places(&staged.value.assignments()),
        ["s00 on one [0]", "s01 on two [0]", "s02 on one [0]", "s03 on two [0]"]
    );
}

#[test]
fn the_default_backend_makes_as_many_machines_as_needed() {
    let staged = connected(with_default(many(12), 5));
    assert_eq!(staged.diagnostics, Diagnostics::new());
    let sites: Vec<_> = staged.value.sites().collect();
    assert_eq!(sites.len(), 1);
    assert_eq!(sites[0].target.name.as_str(), "memory");
    assert_eq!(sites[0].target.kind.machines(), 3);
    assert_eq!(sites[0].target.network, Some(name("memory")));
}

#[test]
fn a_wished_location_gets_machines_and_others_share_them() {
    let mut deployment = with_default(many(2), 5);
    for location in ["oslo", "singapore"] {
        deployment.infrastructure.locations.insert(name(location), Location::default());
    }
    let far = functionality("far", 99, &[]).location("singapore").unwrap();
    let near = functionality("near", 98, &[]).location("oslo").unwrap();
    let lost = functionality("lost", 97, &[]).location("singapur").unwrap();
    deployment.catalogs.push([far.shared(), near.shared(), lost.shared()].into_iter().collect());
    let staged = connected(deployment);
    assert_eq!(codes(&staged.diagnostics), [Code::ReferenceUnknown]);
    assert!(staged.diagnostics.to_string().contains("did you mean `singapore`?"));
    assert_eq!(
        places(&staged.value.assignments()),
        [
            "far on memory-singapore [0]",
            "near on memory-oslo [0]",
            "s00 on memory-singapore [0]",
            "s01 on memory-oslo [0]",
        ]
    );
}

#[test]
fn what_runs_stays_where_it_is() {
    let registry = registry();
    let before = connected(with_default(many(12), 5)).value.assignments();
    // A new one with a name that comes first would push all others along, were they not kept.
    let mut grown = with_default(many(12), 5);
    let catalog = [functionality("a", 999, &[]).shared()].into_iter().collect();
    grown.catalogs.push(catalog);
    let after = connected_with(grown, &registry, &before).value.assignments();
    for (name, assignment) in &before {
        assert_eq!(after.get(name), Some(assignment));
    }
    assert_eq!(after.len(), 13);
    // And a machine that others have left is not moved to.
    let mut shrunk: Vec<_> =
        (0..12).map(|n| functionality(&format!("s{n:02}"), 1000 + n, &[])).collect();
    shrunk.drain(..10);
    let shrunk = with_default(deployment(shrunk), 5);
    let after = connected_with(shrunk, &registry, &before).value.assignments();
    assert!(after.iter().all(|(name, assignment)| before.get(name) == Some(assignment)));
}

#[test]
fn replicas_go_to_different_machines() {
    let mut deployment = with_default(many(0), 5);
    let web = functionality("web", 80, &[]).replicas(NonZeroU32::new(3).unwrap());
    deployment.catalogs.push([web.shared()].into_iter().collect());
    let staged = connected(deployment);
    assert_eq!(staged.diagnostics, Diagnostics::new());
    assert_eq!(places(&staged.value.assignments()), ["web on memory [0, 1, 2]"]);
}

#[test]
fn too_few_machines_for_the_replicas_are_told() {
    let web = functionality("web", 80, &[]).replicas(NonZeroU32::new(3).unwrap());
    let staged = connected(deployment(vec![web]).pool("pool", 2));
    assert_eq!(codes(&staged.diagnostics), [Code::ReplicasReduced]);
    assert!(!staged.diagnostics.has_errors());
    assert_eq!(places(&staged.value.assignments()), ["web on pool [0, 1]"]);
}

#[test]
fn explicit_placement_overrides_wishes() {
    let web = functionality("web", 80, &[]).target("one").unwrap();
    let deployment =
        deployment(vec![web]).machine("one", None).machine("two", None).placed("web", "two");
    assert_eq!(places(&connected(deployment).value.assignments()), ["web on two [0]"]);
}

#[test]
fn without_any_target_nothing_can_be_placed_here() {
    // The default would be the local Docker engine, whose backend is not registered here.
    let staged = connected(many(1));
    assert_eq!(codes(&staged.diagnostics), [Code::TargetNotFound]);
}

#[test]
fn the_order_of_description_does_not_matter() {
    let shuffled = {
        let mut specs: Vec<_> =
            (0..40).map(|n| functionality(&format!("s{n:02}"), 1000 + n, &[])).collect();
        specs.reverse();
        specs.swap(3, 30);
        with_default(deployment(specs), 7)
    };
    let straight = connected(with_default(many(40), 7)).value;
    assert_eq!(connected(shuffled).value.assignments(), straight.assignments());
}
