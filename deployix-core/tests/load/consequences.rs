//! What comes of a mistake is told with it, and what may come of a file that could not be read is not
//! told as a mistake.

use std::collections::BTreeSet;

use deployix_core::{
    backend::{MemoryBackend, Registry},
    diagnostic::{Diagnostics, Staged},
    history::{Heads, Standing},
    load::load,
    plan::{Compiled, Only, compile, plan},
    spec::Deployment,
    topology::{Assignments, connect, place, resolve},
};

use crate::deployments::folder;

fn registry() -> Registry {
    Registry::new().with(MemoryBackend::new())
}

fn to_compiled(deployment: Deployment, before: &Heads) -> Staged<Compiled> {
    let registry = registry();
    let assignments: &Assignments = &before.assignments;
    resolve(deployment, &registry)
        .then(|resolved| place(resolved.recalling(&before.sites), assignments, &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None))
}

/// The findings of all stages, and what is left.
fn found(files: &[(&str, &str)]) -> (Vec<String>, BTreeSet<String>) {
    let folder = folder(files);
    let Staged { value, diagnostics: mut found } = load(folder.path());
    let Staged { value: compiled, diagnostics } = to_compiled(value.unwrap(), &Heads::default());
    found.extend(diagnostics);
    assert!(found.has_errors());
    found.sort();
    let prefix = format!("{}/", folder.path().display());
    let lines = found.to_string().replace(&prefix, "");
    let left = compiled.failed().iter().map(ToString::to_string).collect();
    (lines.lines().map(str::to_owned).collect(), left)
}

/// The same of one file.
fn found_in(deployment: &str) -> (Vec<String>, BTreeSet<String>) {
    found(&[("deployment.toml", deployment)])
}

/// Asserts that there is one finding, and what it says; all of these are left.
fn one((found, names): (Vec<String>, BTreeSet<String>), says: &[&str], left: &[&str]) {
    let [told] = found.as_slice() else { panic!("{found:#?}") };
    for part in says {
        assert!(told.contains(part), "{told}\nhas no\n{part}");
    }
    assert_eq!(names, left.iter().map(|name| (*name).to_owned()).collect());
}

const TWO: &str = "
[functionality.web]
fqdn = \"web.example.com\"
service.start = [\"web\"]
service.endpoints.main.port = 80
[functionality.news]
upstream-hosts = [\"web.example.com\"]
service.start = [\"news\"]
";

#[test]
fn a_mistake_in_a_target_is_told_once_with_all_on_it() {
    let of = |place: &str, target: &str| {
        let head =
            format!("version = 1\nname = \"x\"\n{place}[target.box]\nbackend = \"memory\"\n");
        found_in(&format!("{head}{target}\n{TWO}"))
    };
    let stops = "; so `news` and `web` cannot be deployed;";
    for place in ["", "place.web = \"box\"\n", "place = { web = \"box\", news = \"box\" }\n"] {
        for target in
            ["bakend = 3", "extensions.nobody = {}", "network = \"nowhere\"", "guest = \"x\""]
        {
            one(of(place, target), &[stops], &["news", "web"]);
        }
    }
}

#[test]
fn of_several_mistakes_in_a_target_each_is_told_and_the_first_with_what_they_stop() {
    let (found, _) = found_in(&format!(
        "version = 1\nname = \"x\"\n[target.box]\nbackend = \"memory\"\nextensions.a = {{}}\n\
         extensions.b = {{}}\n{TWO}"
    ));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("so `news` and `web` cannot be deployed"), "{found:#?}");
    assert!(!found[1].contains("cannot be deployed"), "{found:#?}");
}

#[test]
fn a_mistake_in_a_network_or_location_is_told_once_with_all_that_is_there() {
    let of = |network: &str, location: &str| {
        found_in(&format!(
            "version = 1\nname = \"x\"\n[location.here]\n{location}\n[network.n]\n{network}\n\
             [target.box]\nbackend = \"memory\"\nnetwork = \"n\"\n{TWO}"
        ))
    };
    let stops = "; so `news` and `web` on `box` cannot be deployed";
    let here = "location = \"here\"";
    for (network, location) in
        [("loction = 3", ""), ("location = \"nowhere\"", ""), (here, "extension = 3")]
    {
        one(of(network, location), &[stops], &["news", "web"]);
    }
}

#[test]
fn a_mistake_in_the_default_backend_is_told_once_with_all_that_it_would_run() {
    for mistake in ["guest = \"x\"", "extensions.nobody = {}", "location = \"nowhere\""] {
        let text = format!(
            "version = 1\nname = \"x\"\n[default-backend]\nbackend = \"memory\"\n{mistake}\n{TWO}"
        );
        one(found_in(&text), &["so `news` and `web` cannot be deployed"], &["news", "web"]);
    }
    let text = format!("version = 1\nname = \"x\"\n[default-backend]\nbackend = \"memry\"\n{TWO}");
    one(found_in(&text), &["did you mean `memory`?"], &["news", "web"]);
}

#[test]
fn what_could_not_run_elsewhere_either_is_not_put_down_to_a_target_in_another_location() {
    let text = "version = 1\nname = \"x\"\n[location.here]\n[location.there]\n\
                [target.box]\nbackend = \"memory\"\nlocation = \"there\"\nextensions.nobody = {}\n\
                [functionality.web]\nmachine.location = \"here\"\nservice.start = [\"web\"]\n";
    let (found, _) = found_in(text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("[extension-unknown]") && !found[0].contains("`web`"), "{found:#?}");
    assert!(found[1].contains("[target-not-found]: no target in `here`"), "{found:#?}");
}

/// A deployment whose infrastructure is in a file of its own.
fn with_infrastructure(more: &str, infrastructure: &str) -> (Vec<String>, BTreeSet<String>) {
    let text = format!("version = 1\nname = \"x\"\ninfrastructure = [\"i.toml\"]\n{more}\n{TWO}");
    found(&[("deployment.toml", &text), ("i.toml", infrastructure)])
}

#[test]
fn what_may_be_in_a_file_that_could_not_be_read_is_not_called_unknown() {
    let hides = |what: &str| format!("so it is not known whether there is {what}");
    for (more, what) in [
        ("place = { web = \"box\", news = \"box\" }", hides("a target `box`")),
        ("[target.own]\nbackend = \"memory\"\nnetwork = \"sg\"", hides("a network `sg`")),
        ("[target.own]\nbackend = \"memory\"\nlocation = \"l\"", hides("a location `l`")),
        (
            "[network.sg]\nlocation = \"l\"\n[target.own]\nbackend = \"memory\"\nnetwork = \"sg\"",
            hides("a location `l`"),
        ),
        ("[default-backend]\nbackend = \"memory\"\nlocation = \"l\"", hides("a location `l`")),
        ("", "so `news` and `web` cannot be deployed".to_owned()),
    ] {
        for infrastructure in
            ["version = 1\n[target.box\n", "version = 2", "[target.Box]\nversion = 1"]
        {
            let found = with_infrastructure(more, infrastructure);
            let told = found.0.iter().filter(|line| line.contains(&what)).count();
            assert_eq!(told, 1, "{found:#?}");
            assert!(!found.0.iter().any(|line| line.contains("[reference-unknown]")), "{found:#?}");
            assert!(!found.0.iter().any(|line| line.contains("[blocked]")), "{found:#?}");
            assert_eq!(found.1.len(), 2, "{found:#?}");
        }
    }
}

#[test]
fn what_has_nothing_to_do_with_a_file_that_could_not_be_read_is_told_beside_it() {
    let more = "external-hosts = [\"web.example.com\"]\nplace.wbe = \"own\"\n[target.own]\nbackend = \"memry\"\n\
                [functionality.lost]\nupstream-hosts = [\"nobody.example.com\"]\nservice.start = [\"x\"]\n";
    let (found, _) = with_infrastructure(more, "version = \n");
    let told = |code: &str| found.iter().filter(|line| line.contains(code)).count();
    assert_eq!(told("[syntax-invalid]"), 1, "{found:#?}");
    assert_eq!(told("[backend-unknown]"), 1, "{found:#?}");
    assert_eq!(told("[upstream-not-provided]"), 1, "{found:#?}");
    assert_eq!(told("[external-host-provided]"), 1, "{found:#?}");
    assert_eq!(told("[reference-unknown]: `wbe` is placed"), 1, "{found:#?}");
}

#[test]
fn what_may_be_in_a_catalog_that_could_not_be_read_is_not_called_unknown() {
    let text = format!(
        "version = 1\nname = \"x\"\ncatalogs = [\"c.toml\"]\nplace.lost = \"box\"\natomic = [[\"web\", \"other\"]]\n\
         [target.box]\nbackend = \"memory\"\n\
         [load-balancer.front]\nbalances = \"gone.example.com\"\nsource-port = 1\ntarget-port = 2\n{TWO}\
         [functionality.needs]\nupstream-hosts = [\"there.example.com\"]\nservice.start = [\"x\"]\n"
    );
    let told = found(&[("deployment.toml", &text), ("c.toml", "version = 1\nfunctionality = [\n")]);
    let says = [
        "c.toml:",
        "so it is not known whether there is a functionality `lost`, a functionality `other`, \
         a provider of gone.example.com or another one, and `load-balancer-front` and `needs` cannot be deployed",
    ];
    one(told, &says, &["load-balancer-front", "needs"]);
}

#[test]
fn a_file_that_is_named_twice_hides_nothing() {
    let text = "version = 1\nname = \"x\"\ncatalogs = [\"c.toml\", \"./c.toml\"]\n\
                [target.box]\nbackend = \"memory\"\n";
    let catalog = "version = 1\n[functionality.web]\nupstream-hosts = [\"no.example.com\"]\nservice.start = [\"x\"]\n";
    let (found, _) = found(&[("deployment.toml", text), ("c.toml", catalog)]);
    assert!(found.iter().any(|line| line.contains("[upstream-not-provided]")), "{found:#?}");
}

/// What a plan removes once a deployment that stands is described otherwise.
fn removed(before: &str, after: &str) -> (Vec<String>, Diagnostics) {
    let read = |text: &str| {
        let folder = folder(&[("deployment.toml", text)]);
        load(folder.path()).value.unwrap()
    };
    let registry = registry();
    let standing = to_compiled(read(before), &Heads::default());
    assert_eq!(standing.diagnostics.to_string(), "");
    let compiled = standing.value;
    let mut heads = Heads::default();
    heads.assignments = compiled.connected().assignments();
    for (resource, site) in compiled.sited() {
        let standing = Standing::new(resource.clone(), site.target.name.clone(), 1);
        heads.resources.insert(resource.id().clone(), standing);
        heads.sites.insert(site.target.name.clone(), site.into());
    }
    let folder = folder(&[("deployment.toml", after)]);
    let now = load(folder.path()).then(|deployment| to_compiled(deployment.unwrap(), &heads));
    let planned = plan(&now.value, &heads, &registry, &Only::All);
    (planned.steps.iter().map(|step| step.id().to_string()).collect(), now.diagnostics)
}

#[test]
fn what_a_default_backend_made_stays_while_that_is_described_wrongly() {
    let of =
        |default: &str| format!("version = 1\nname = \"x\"\n[default-backend]\n{default}\n{TWO}");
    let right = of("backend = \"memory\"");
    for wrong in ["backend = \"memry\"", "backend = \"memory\"\nextensions.nobody = {}"] {
        let (steps, found) = removed(&right, &of(wrong));
        assert!(found.has_errors());
        assert_eq!(steps, [""; 0], "{wrong}");
    }
    let (steps, _) = removed(&right, "version = 1\nname = \"x\"\n");
    assert!(!steps.is_empty(), "what nobody describes any more goes");
}

#[test]
fn a_load_balancer_that_could_not_be_read_stays() {
    let of = |balancer: &str| {
        format!("version = 1\nname = \"x\"\n[target.box]\nbackend = \"memory\"\n{balancer}\n{TWO}")
    };
    let right = "[load-balancer.front]\nbalances = \"web.example.com\"\nsource-port = 443\ntarget-port = 80\n";
    for wrong in [right.replace("source-port", "sorce-port"), right.replace(".front", ".Front")] {
        let (steps, mut found) = removed(&of(right), &of(&wrong));
        assert_eq!(steps, [""; 0], "nobody is led past it either");
        found.sort();
        let told = found.to_string();
        assert_eq!(found.len(), 1, "{told}");
        assert!(told.contains("news` cannot be deployed"), "{told}");
    }
}
