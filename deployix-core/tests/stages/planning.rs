//! Compiling only what changed, and planning only what differs.

use std::sync::Arc;

use deployix_core::{
    ResourceId,
    backend::{MemoryBackend, Owner, Registry, Resource},
    history::{Heads, Standing},
    plan::{Compiled, Only, Plan, PlannedAction, compile, destroy, plan},
    spec::{Deployment, FunctionalitySpec, Infrastructure, ServiceSpec, Target},
    topology::{Assignments, connect, place, resolve},
};

use crate::support::{With, deployment, functionality, name};

fn specs() -> Vec<FunctionalitySpec<ServiceSpec>> {
    vec![
        functionality("web", 80, &["db"]),
        functionality("db", 5432, &[]),
        functionality("other", 81, &[]),
    ]
}

fn usual() -> Deployment {
    deployment(specs()).machine("box", None)
}

/// The usual, with one variable more for the database.
fn changed() -> Deployment {
    let mut specs = specs();
    specs[1].service =
        ServiceSpec::builder(["db"]).endpoint("main", 5432).env("A", "1").build().unwrap();
    deployment(specs).machine("box", None)
}

fn compiled(deployment: Deployment, registry: &Registry, before: Option<&Compiled>) -> Compiled {
    let staged = resolve(deployment, registry)
        .then(|resolved| place(resolved, &Assignments::new(), registry))
        .then(|placed| connect(placed, registry))
        .then(|connected| compile(connected, registry, before));
    staged.value
}

fn heads(compiled: &Compiled) -> Heads {
    let mut heads = Heads::default();
    heads.generation = 7;
    for (resource, site) in compiled.sited() {
        let standing = Standing::new(resource.clone(), site.target.name.clone(), 7);
        heads.resources.insert(resource.id().clone(), standing);
        heads.sites.insert(site.target.name.clone(), site.into());
    }
    heads.assignments = compiled.connected().assignments();
    heads
}

fn lines(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.as_str(), step.id())).collect()
}

#[test]
fn against_nothing_everything_is_made_in_order() {
    let registry = Registry::new().with(MemoryBackend::new());
    let compiled = compiled(usual(), &registry, None);
    let plan = plan(&compiled, &Heads::default(), &registry, &Only::All);
    assert_eq!(plan.kept, 0);
    assert!(plan.steps.iter().all(|step| step.action == PlannedAction::Create));
    let order = lines(&plan);
    let at = |id: &str| order.iter().position(|line| line.ends_with(id)).unwrap();
    assert!(at("memory/edge/web/db") < at("memory/functionality/web"));
    assert!(at("memory/functionality/web") < at("memory/target/box"));
}

#[test]
fn against_itself_nothing_is_to_be_done() {
    let registry = Registry::new().with(MemoryBackend::new());
    let compiled = compiled(usual(), &registry, None);
    let plan = plan(&compiled, &heads(&compiled), &registry, &Only::All);
    assert_eq!((plan.steps.len(), plan.kept), (0, compiled.resources().len()));
    assert_eq!(plan.generation, 7);
}

#[test]
fn a_change_names_the_fields_that_differ() {
    let registry = Registry::new().with(MemoryBackend::new());
    let before = compiled(usual(), &registry, None);
    let after = compiled(changed(), &registry, None);
    let plan = plan(&after, &heads(&before), &registry, &Only::All);
    assert_eq!(lines(&plan), ["update memory/functionality/db"]);
    let fields: Vec<_> = plan.steps[0].changes.iter().map(|c| c.field.as_str()).collect();
    assert_eq!(fields, ["service"]);
}

#[test]
fn one_edit_compiles_one_functionality_again() {
    let backend = Arc::new(MemoryBackend::new());
    let mut registry = Registry::new();
    registry.add(Arc::clone(&backend) as Arc<_>);
    let before = compiled(usual(), &registry, None);
    assert_eq!(backend.compiled(), 3);
    let same = compiled(usual(), &registry, Some(&before));
    assert_eq!(backend.compiled(), 3, "nothing changed");
    assert_eq!(same.resources(), before.resources());
    let after = compiled(changed(), &registry, Some(&before));
    assert_eq!(backend.compiled(), 4, "one variable of one functionality changed");
    let anew = compiled(changed(), &registry, None);
    assert_eq!(after.resources(), anew.resources(), "taking over gives what compiling gives");
}

#[test]
fn a_moved_address_compiles_those_again_that_read_it() {
    let backend = Arc::new(MemoryBackend::new());
    let mut registry = Registry::new();
    registry.add(Arc::clone(&backend) as Arc<_>);
    let two = |db: &str| {
        deployment(specs())
            .machine("one", Some("net"))
            .machine("two", Some("net"))
            .placed("web", "one")
            .placed("other", "one")
            .placed("db", db)
    };
    let before = compiled(two("one"), &registry, None);
    assert_eq!(backend.compiled(), 3);
    compiled(two("two"), &registry, Some(&before));
    assert_eq!(backend.compiled(), 5, "the database moved, the web page reads its address");
}

#[test]
fn what_is_wanted_no_more_is_removed_dependents_first() {
    let registry = Registry::new().with(MemoryBackend::new());
    let before = compiled(usual(), &registry, None);
    let left = deployment(vec![functionality("other", 81, &[])]).machine("box", None);
    let after = compiled(left, &registry, None);
    let plan = plan(&after, &heads(&before), &registry, &Only::All);
    assert_eq!(
        lines(&plan),
        [
            "remove memory/functionality/web",
            "remove memory/edge/web/db",
            "remove memory/functionality/db",
        ]
    );
}

#[test]
fn what_is_removed_is_removed_where_the_specs_say_now_that_it_is() {
    let registry = Registry::new().with(MemoryBackend::new());
    let stands = deployment(specs()).machine("box", None).machine("shed", None);
    let mut recorded = heads(&compiled(stands, &registry, None));
    let wrong = |target: &mut Target| target.address = Some("wrong.example.com".to_owned());
    recorded.sites.values_mut().for_each(|site| wrong(&mut site.target));
    let address = |plan: &Plan, target: &str| plan.sites[target].target.address.clone();
    let all = |heads: &Heads| destroy(&name("test"), heads, &Only::All, false).value;

    let mut now = usual();
    let right = "right.example.com".to_owned();
    now.infrastructure.targets.get_mut("box").unwrap().address = Some(right.clone());
    let described = recorded.clone().described_by(&now.infrastructure);
    assert_eq!(address(&all(&described), "box"), Some(right.clone()));
    now.catalogs.clear();
    let nothing = compiled(now.clone(), &registry, None);
    assert_eq!(address(&plan(&nothing, &recorded, &registry, &Only::All), "box"), Some(right));

    // What is described no more, or in part, is where it was.
    let was = Some("wrong.example.com".to_owned());
    let nowhere = recorded.clone().described_by(&Infrastructure::default());
    assert_eq!(nowhere, recorded);
    now.infrastructure.targets.get_mut("box").unwrap().network = Some(name("unheard-of"));
    let in_part = recorded.clone().described_by(&now.infrastructure);
    assert_eq!(address(&all(&in_part), "box"), was);
    assert_eq!(in_part, recorded);
}

#[test]
fn what_failed_is_left_as_it_was() {
    let registry = Registry::new().with(MemoryBackend::new());
    let before = compiled(usual(), &registry, None);
    let mut broken = specs();
    broken[1] = functionality("db", 5432, &["nobody"]);
    let after = compiled(deployment(broken).machine("box", None), &registry, None);
    let plan = plan(&after, &heads(&before), &registry, &Only::All);
    assert_eq!(lines(&plan), Vec::<String>::new());
    let left: Vec<_> = plan.left.iter().map(ToString::to_string).collect();
    assert_eq!(left, ["db", "web"]);
}

/// A target of several machines with a functionality on it that may be wrong, and another target.
fn pools(count: u32, wrong: bool) -> Deployment {
    let upstreams: &[&str] = if wrong { &["nobody"] } else { &[] };
    let specs = vec![
        functionality("db", 5432, upstreams),
        functionality("other", 81, &[]),
        functionality("web", 80, &[]),
    ];
    let both = deployment(specs).pool("box", count).pool("shed", count);
    both.placed("db", "box").placed("other", "box").placed("web", "shed")
}

#[test]
fn what_was_made_from_what_failed_is_held_back_and_other_targets_change() {
    let registry = Registry::new().with(MemoryBackend::new());
    let stands = heads(&compiled(pools(1, false), &registry, None));
    let after = compiled(pools(2, true), &registry, None);
    let planned = plan(&after, &stands, &registry, &Only::All);
    assert_eq!(lines(&planned), ["update memory/target/shed"]);
    let held: Vec<_> = planned.held.iter().map(|(id, since)| (id.as_str(), since)).collect();
    assert_eq!(held, [("memory/target/box", &[name("db")].into())]);
    assert!(planned.waiting.is_empty(), "{:?}", planned.waiting);
    assert_eq!(planned.kept, 3, "two functionalities and the target that is held back");

    let mended = compiled(pools(2, false), &registry, None);
    let planned = plan(&mended, &stands, &registry, &Only::All);
    assert!(lines(&planned).contains(&"update memory/target/box".to_owned()), "{planned:?}");
    assert!(planned.held.is_empty());
}

#[test]
fn a_target_that_is_wanted_no_more_stays_while_what_runs_there_is_wrong() {
    let registry = Registry::new().with(MemoryBackend::new());
    let stands = heads(&compiled(pools(1, false), &registry, None));
    let gone = |wrong| {
        let mut gone = pools(1, wrong);
        gone.infrastructure.targets.remove("box");
        gone.place.remove("db");
        gone.place.remove("other");
        let after = compiled(gone, &registry, None);
        let planned = plan(&after, &stands, &registry, &Only::All);
        (lines(&planned), planned.held.into_keys().map(|id| id.to_string()).collect::<Vec<_>>())
    };
    let removal = "remove memory/target/box".to_owned();
    let (steps, held) = gone(false);
    assert!(steps.contains(&removal) && held.is_empty(), "{steps:?} {held:?}");
    let (steps, held) = gone(true);
    assert!(!steps.contains(&removal), "{steps:?}");
    assert_eq!(held, ["memory/target/box"]);
}

#[test]
fn what_is_to_be_part_of_what_is_held_back_waits() {
    let registry = Registry::new().with(MemoryBackend::new());
    let stands = heads(&compiled(pools(1, false), &registry, None));
    let mut wanted = pools(2, true);
    let changed = ServiceSpec::builder(["other"]).endpoint("main", 81).env("A", "1");
    let other = FunctionalitySpec::new("other", changed.build().unwrap()).unwrap();
    let other = other.fqdn("other.example.com").unwrap();
    let specs = vec![functionality("db", 5432, &["nobody"]), other, functionality("web", 80, &[])];
    wanted.catalogs = deployment(specs).catalogs;
    let after = compiled(wanted, &registry, None);
    let planned = plan(&after, &stands, &registry, &Only::All);
    assert_eq!(lines(&planned), ["update memory/target/shed"]);
    assert_eq!(planned.waiting, [name("other")].into());
    let held: Vec<_> = planned.held.keys().map(ResourceId::as_str).collect();
    assert_eq!(held, ["memory/functionality/other", "memory/target/box"]);
}

#[test]
fn a_plan_about_one_functionality_leaves_out_what_it_can_be_made_without() {
    let registry = Registry::new().with(MemoryBackend::new());
    let compiled = compiled(usual(), &registry, None);
    let only = Only::Named([name("web")].into());
    let plan = plan(&compiled, &Heads::default(), &registry, &only);
    assert_eq!(
        lines(&plan),
        [
            "create memory/edge/web/db",
            "create memory/functionality/db",
            "create memory/functionality/web"
        ]
    );
    assert!(plan.steps.iter().all(|step| !matches!(step.owner(), Owner::Target(_))));
}

#[test]
fn a_plan_tells_the_atomic_sets_that_it_touches() {
    let registry = Registry::new().with(MemoryBackend::new());
    let sets = |mut deployment: Deployment| {
        deployment.atomic = vec![[name("web"), name("db")].into()];
        compiled(deployment, &registry, None)
    };
    let wanted = sets(usual());
    let of = |heads: &Heads, only: &Only| plan(&wanted, heads, &registry, only).atomic;
    let both = vec![[name("db"), name("web")].into()];
    assert_eq!(of(&Heads::default(), &Only::All), both);
    assert_eq!(of(&Heads::default(), &Only::Named([name("web")].into())), both);
    assert_eq!(of(&Heads::default(), &Only::Named([name("other")].into())), []);
    assert_eq!(of(&heads(&wanted), &Only::All), []);
}

#[test]
fn what_goes_of_a_functionality_waits_for_what_takes_its_place() {
    let registry = Registry::new().with(MemoryBackend::new());
    let mut heads = heads(&compiled(usual(), &registry, None));
    let id: ResourceId = "memory/replica/db".parse().unwrap();
    let owner = Owner::Functionality(name("db"));
    let replica = Resource::new(id.clone(), owner, Default::default(), []);
    heads.resources.insert(id.clone(), Standing::new(replica, name("box"), 7));
    let after = compiled(changed(), &registry, None);
    let plan = plan(&after, &heads, &registry, &Only::All);
    let removal = plan.steps.iter().find(|step| *step.id() == id).unwrap();
    assert_eq!(removal.action, PlannedAction::Remove);
    let waits: Vec<_> = removal.after.iter().map(ResourceId::as_str).collect();
    assert_eq!(waits, ["memory/functionality/db"]);
}
