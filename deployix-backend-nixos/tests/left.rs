//! What describes one functionality is wrong: what runs of it goes on, with all that it uses, and
//! everybody else is deployed.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

#[path = "../../deployix-core/tests/shared/stages.rs"]
mod stages;

use deployix_core::history::Heads;
use deployix_core::load::{Format, SpecFile, parse_deployment};
use deployix_core::plan::{Compiled, Only, Plan, plan};
use support::registry;

/// A page and something else on one machine, the page's database on another.
const APART: &str = r#"
version = 1
name = "shop"
ca = { certificate = "ca.crt", key = "ca.key" }

[functionality.web]
fqdn = "web.example.com"
upstream-hosts = ["db.example.com"]
service.start = ["web"]
service.software.nix = ["web"]
service.endpoints.http.port = 8000
machine.target = "rack1"

[functionality.other]
service.start = ["other"]
service.software.nix = ["other"]
machine.target = "rack1"

[functionality.db]
fqdn = "db.example.com"
service.start = ["db"]
service.software.nix = ["db"]
service.endpoints.sql.port = 5432
machine.target = "rack2"

[functionality.cache]
fqdn = "cache.example.com"
service.start = ["cache"]
service.software.nix = ["cache"]
service.endpoints.main.port = 6379
machine.target = "rack2"

[target.rack1]
backend = "nixos"
address = "10.1.0.1"

[target.rack2]
backend = "nixos"
address = "10.2.0.2"
"#;

/// The same, with both machines in one network.
fn together() -> String {
    let private =
        |text: &str| format!("{text}\nnetwork = \"rack\"\nprivate-addresses = [{text:?}]");
    let mut text = format!("{APART}\n[network.rack]\n");
    for address in ["10.1.0.1", "10.2.0.2"] {
        let line = format!("address = \"{address}\"");
        let more = private(address).replacen(address, &line, 1);
        text = text.replace(&line, &more);
    }
    text
}

/// What goes wrong about the page, one way after another: in reading, in resolving, in placing, in
/// compiling, and as a whole.
fn mistakes(text: &str) -> Vec<String> {
    let own = |from: &str, to: &str| {
        let edited = text.replacen(from, to, 1);
        assert_ne!(edited, text, "{from}");
        edited
    };
    vec![
        own("service.start = [\"web\"]", "service.strat = [\"web\"]"),
        own("[\"db.example.com\"]", "[\"db.example.com\", \"nobody.example.com\"]"),
        own("machine.target = \"rack1\"", "machine.target = \"rack7\""),
        own("service.start = [\"web\"]", "service.start = []"),
        own("software.nix = [\"web\"]", "software.nix = [\"web..x\"]"),
        // While it is wrong, whom it is to reach counts beside whom it reaches.
        own(
            "[\"db.example.com\"]\nservice.start = [\"web\"]",
            "[\"cache.example.com\"]\nservice.strat = []",
        ),
        own(
            "[\"db.example.com\"]\nservice.start = [\"web\"]\nservice.software.nix = [\"web\"]",
            "[]\nservice.start = [\"web\"]\nservice.software.nix = [\"web..x\"]",
        ),
    ]
}

/// `other`, with a variable more.
fn changed(text: &str) -> String {
    text.replace(
        "service.start = [\"other\"]",
        "service.start = [\"other\"]\nservice.env.A = \"1\"",
    )
}

fn compiled(text: &str, heads: &Heads) -> (Compiled, bool) {
    let file = SpecFile::new("deployment.toml", Format::Toml, text.to_owned());
    let read = parse_deployment(&file, None);
    let mut deployment = read.value.expect("a deployment");
    let authority = deployment.certificate_authority.as_mut().expect("a certificate authority");
    authority.certificate = Some("a certificate".to_owned());
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
    let (compiled, wrong) = compiled(text, heads);
    assert!(wrong, "{text}");
    plan(&compiled, heads, &registry(), &Only::All)
}

fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.as_str(), step.id())).collect()
}

#[test]
fn a_machine_goes_on_talking_encrypted_for_what_runs_there_and_is_wrong() {
    let stands = deployed(APART);
    for text in mistakes(APART) {
        assert_eq!(steps(&planned(&text, &stands)), [""; 0], "{text}");
        let both = planned(&changed(&text), &stands);
        assert_eq!(steps(&both), ["update nixos/rack1/functionality/other"], "{text}");
        assert!(both.left.iter().any(|name| name.as_str() == "web"));
    }
}

#[test]
fn a_provider_on_another_machine_stays_open_for_who_runs_on_and_is_wrong() {
    let text = together();
    let stands = deployed(&text);
    for text in mistakes(&text) {
        let both = planned(&changed(&text), &stands);
        assert_eq!(steps(&both), ["update nixos/rack1/functionality/other"], "{text}");
    }
}

#[test]
fn a_provider_changes_all_the_same_and_stays_open() {
    for text in [APART.to_owned(), together()] {
        let stands = deployed(&text);
        let more = |text: &str| {
            text.replace(
                "service.start = [\"db\"]",
                "service.start = [\"db\"]\nservice.env.A = \"1\"",
            )
        };
        let fine = compiled(&more(&text), &stands).0;
        let id = "nixos/rack2/functionality/db";
        for text in mistakes(&text) {
            let (wrong, _) = compiled(&more(&text), &stands);
            assert_eq!(wrong.resources().get(id), fine.resources().get(id), "{text}");
            let steps = steps(&plan(&wrong, &stands, &registry(), &Only::All));
            assert_eq!(steps, ["update nixos/rack2/functionality/db"], "{text}");
        }
    }
}

#[test]
fn what_is_wrong_about_a_provider_leaves_its_consumers_and_their_machines() {
    let stands = deployed(APART);
    let text = changed(&APART.replace("service.start = [\"db\"]", "service.strat = [\"db\"]"));
    let plan = planned(&text, &stands);
    assert_eq!(steps(&plan), ["update nixos/rack1/functionality/other"]);
    let left: Vec<_> = plan.left.iter().map(|name| name.as_str()).collect();
    assert_eq!(left, ["db", "web"]);
}

#[test]
fn a_consumer_that_never_ran_opens_nothing() {
    let mut heads = deployed(APART);
    let web = support::name("web");
    heads.assignments.remove(&web);
    heads.resources.retain(|id, _| !id.as_str().ends_with("/web"));
    // What was opened for it goes, on both machines.
    let text = APART.replace("service.start = [\"web\"]", "service.strat = [\"web\"]");
    let steps = steps(&planned(&text, &heads));
    assert!(steps.contains(&"update nixos/rack1/system".to_owned()), "{steps:?}");
    assert!(steps.contains(&"update nixos/rack2/functionality/db".to_owned()), "{steps:?}");
}

#[test]
fn what_cannot_be_read_at_all_is_not_taken_for_gone() {
    let stands = deployed(APART);
    // Nobody can tell what it is called.
    let nameless = APART.replace("[functionality.web]", "[functionality.\"We b\"]");
    let plan = planned(&nameless, &stands);
    assert_eq!(steps(&plan), [""; 0]);
    let left: Vec<_> = plan.left.iter().map(|name| name.as_str()).collect();
    assert_eq!(left, ["web"]);
    let nowhere = APART.replace("[target.rack1]", "[target.\"Ra ck\"]");
    assert_eq!(steps(&planned(&nowhere, &stands)), [""; 0]);
    let useless = APART.replace("address = \"10.1.0.1\"", "network = \"nowhere\"");
    assert_eq!(steps(&planned(&useless, &stands)), [""; 0]);
}

#[test]
fn what_runs_on_a_target_that_cannot_be_used_is_not_made_elsewhere() {
    let free = APART
        .replace("machine.target = \"rack1\"\n", "")
        .replace("machine.target = \"rack2\"\n", "");
    let stands = deployed(&free);
    for wrong in ["adress = \"10.1.0.1\"", "network = \"nowhere\""] {
        let text = free.replace("address = \"10.1.0.1\"", wrong);
        let plan = planned(&text, &stands);
        assert!(
            steps(&plan).iter().all(|step| step.starts_with("update nixos/rack2/")),
            "{plan:#?}"
        );
        assert!(!plan.left.is_empty());
    }
}
