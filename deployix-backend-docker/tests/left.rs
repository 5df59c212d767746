//! What describes one functionality is wrong: what runs of it goes on, with all that it uses, and
//! everybody else is deployed.

#[path = "../../deployix-core/tests/shared/stages.rs"]
mod stages;

use deployix_backend_docker::DockerBackend;
use deployix_core::{
    backend::Registry,
    history::Heads,
    load::{Format, SpecFile, parse_deployment},
    plan::{Compiled, Only, Plan, plan},
};

/// A page, several times, its database and something else, each where `@NAME` says.
const SHOP: &str = r#"
version = 1
name = "shop"

[functionality.web]
fqdn = "web.example.com"
upstream-hosts = ["db.example.com", "cache.example.com"]
replicas = 9
service.start = ["web"]
service.endpoints.http.port = 8000
machine.target = "@web"

[functionality.db]
fqdn = "db.example.com"
service.start = ["db"]
service.endpoints.sql.port = 5432
machine.target = "@db"

[functionality.cache]
fqdn = "cache.example.com"
service.start = ["cache"]
service.endpoints.main.port = 6379
machine.target = "@db"

[functionality.other]
service.start = ["other"]
machine.target = "@web"

[network.rack]

[target.box]
backend = "docker"
network = "rack"
private-addresses = ["10.0.0.1"]

[target.crate]
backend = "docker"
network = "rack"
private-addresses = ["10.0.0.2"]
"#;

fn shop(web: &str, db: &str) -> String {
    SHOP.replace("@web", web).replace("@db", db)
}

/// The page's mistakes: in reading, in resolving, and in compiling, where it forgets an upstream as
/// well.
fn mistakes(text: &str) -> [String; 3] {
    [
        ("service.start = [\"web\"]", "service.strat = [\"web\"]"),
        ("\"cache.example.com\"]", "\"nobody.example.com\"]"),
        (", \"cache.example.com\"]", "]\nextensions.docker.capabilities = [\"all\"]"),
    ]
    .map(|(from, to)| {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from}");
        edited
    })
}

/// The same, with a variable more for one of the others.
fn changed(text: &str, name: &str) -> String {
    let start = format!("service.start = [\"{name}\"]");
    text.replace(&start, &format!("{start}\nservice.env.A = \"1\""))
}

fn registry() -> Registry {
    Registry::new().with(DockerBackend::new())
}

fn compiled(text: &str, heads: &Heads) -> (Compiled, bool) {
    let file = SpecFile::new("deployment.toml", Format::Toml, text.to_owned());
    let read = parse_deployment(&file, None);
    let deployment = read.value.expect("a deployment");
    let staged = stages::compiled(deployment, heads, &registry());
    (staged.value, read.diagnostics.has_errors() || staged.diagnostics.has_errors())
}

/// What stands once all of it was deployed.
fn deployed(text: &str) -> Heads {
    let (compiled, wrong) = compiled(text, &Heads::default());
    assert!(!wrong, "{text}");
    stages::standing(&compiled)
}

fn planned(text: &str, heads: &Heads) -> Plan {
    plan(&compiled(text, heads).0, heads, &registry(), &Only::All)
}

/// The instances and networks that a plan changes.
fn touched(plan: &Plan) -> Vec<&str> {
    let ids = plan.steps.iter().map(|step| step.id().as_str());
    ids.filter(|id| !id.contains("/image/")).collect()
}

#[test]
fn what_runs_on_one_engine_with_what_is_wrong_stays_as_it_is_and_others_change() {
    let text = shop("box", "box");
    let stands = deployed(&text);
    for wrong in mistakes(&text) {
        assert_eq!(touched(&planned(&wrong, &stands)), [""; 0], "{wrong}");
        let both = planned(&changed(&wrong, "other"), &stands);
        assert_eq!(touched(&both), ["docker/box/instance/other"], "{wrong}");
    }
}

#[test]
fn a_provider_changes_and_stays_in_the_networks_of_who_runs_on_and_is_wrong() {
    let text = changed(&shop("box", "box"), "db");
    let stands = deployed(&shop("box", "box"));
    let fine = compiled(&text, &stands).0;
    for wrong in mistakes(&text) {
        let (compiled, is_wrong) = compiled(&wrong, &stands);
        assert!(is_wrong, "{wrong}");
        let id = "docker/box/instance/db";
        assert_eq!(compiled.resources().get(id), fine.resources().get(id), "{wrong}");
        let plan = plan(&compiled, &stands, &registry(), &Only::All);
        assert_eq!(touched(&plan), [id], "{wrong}");
    }
}

#[test]
fn a_provider_on_another_engine_stays_published_for_who_runs_on_and_is_wrong() {
    let text = shop("box", "crate");
    let stands = deployed(&text);
    for wrong in mistakes(&text) {
        assert_eq!(touched(&planned(&wrong, &stands)), [""; 0], "{wrong}");
        let both = planned(&changed(&wrong, "db"), &stands);
        assert_eq!(touched(&both), ["docker/crate/instance/db"], "{wrong}");
    }
}
