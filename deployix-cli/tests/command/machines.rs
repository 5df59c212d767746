//! What runs on a machine of Amazon's is told with it, whoever's it is.

use serde_json::json;

use crate::support::{CLOUD, Folder};

const INSTANCE: &str = "ec2/target/one/machine/0/instance";

/// Two on one machine, one of which keeps state, and one on another.
fn cloud() -> String {
    let db = "machine.target = \"two\"";
    assert!(CLOUD.contains(db));
    let state = "machine.target = \"one\"\nservice.state = [\"/var/lib/db\"]";
    CLOUD.replace(db, state)
        + "\n[functionality.mail]\nservice.start = [\"mail\"]\n\
           service.software.debian = [\"mail\"]\nmachine.target = \"two\"\n"
}

fn another_page() -> String {
    cloud().replace("service.start = [\"page\"]", "service.start = [\"page\", \"--new\"]")
}

/// As if somebody had made all that a plan for it makes.
fn make(folder: &Folder, text: &str, by: &str) {
    folder.write("deployment.toml", text);
    folder.pretend(&folder.planned(""), by, |_| true);
}

/// The line under a step about a machine.
fn under(text: &str, step: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.ends_with(step));
    lines.nth(1).unwrap_or_else(|| panic!("{step}: {text}")).trim().to_owned()
}

#[test]
fn a_plan_tells_who_comes_up_restarts_or_goes_with_a_machine() {
    let folder = Folder::with(&cloud());
    let told = folder.run("plan").done().stdout;
    let create = format!("+ create {INSTANCE}");
    assert_eq!(under(&told, &create), "the machine of db, page; comes up: db, page");

    make(&folder, &cloud(), "anna");
    folder.write("deployment.toml", &another_page());
    let told = folder.run("plan").done().stdout;
    let replace = format!("replace {INSTANCE}");
    let line = "the machine of db, page; comes up: page; restarts: db";
    assert_eq!(under(&told, &replace), line);
    assert_eq!(told.matches("the machine of").count(), 1, "{told}");
    let reads = format!("InstanceId: what {INSTANCE} gives then");
    assert!(told.lines().any(|line| line.trim() == reads), "{told}");
    let (document, _) = folder.json("plan");
    let steps = document["steps"].as_array().unwrap().iter();
    let carried: Vec<_> = steps.filter_map(|step| step.get("carried")).collect();
    assert_eq!(carried, [&json!({"db": "restarted", "page": "changed"})], "{document:#}");

    let alone = cloud().replacen("machine.target = \"one\"", "machine.target = \"two\"", 1);
    folder.write("deployment.toml", &alone);
    let told = folder.run("plan").done().stdout;
    assert_eq!(under(&told, &replace), "the machine of db, page; goes: page; restarts: db");
    let other = "replace ec2/target/two/machine/0/instance";
    assert_eq!(under(&told, other), "the machine of mail, page; comes up: page; restarts: mail");
}

#[test]
fn a_plan_about_one_functionality_holds_its_machine_and_no_other() {
    let folder = Folder::with(&cloud());
    let told = folder.run("plan --only page").done().stdout;
    assert!(told.contains(&format!("+ create {INSTANCE}\n")), "{told}");
    assert!(!told.contains("target/two"), "{told}");
}

#[test]
fn what_is_left_of_targets_and_networks_is_told_where_nothing_runs() {
    let folder = Folder::with(&cloud());
    folder.pretend(&folder.planned(""), "anna", |id| id.ends_with("/volume"));
    let text = folder.run("status").done().stdout;
    assert!(
        text.ends_with("no functionality stands, and of others target one (1 resource)\n"),
        "{text}"
    );
}

#[test]
fn what_is_done_to_a_machine_is_told_of_all_that_run_there() {
    let folder = Folder::with(&cloud());
    make(&folder, &cloud(), "anna");
    make(&folder, &another_page(), "bert");
    let text = folder.run("status").done().stdout;
    for (name, by) in [("page", "bert on "), ("db", "bert on "), ("mail", "anna on ")] {
        let row = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(row.contains(by), "{row}");
    }
    let told = folder.run("history db").done().stdout;
    assert!(told.contains("bert on ") && told.contains("target one: made"), "{told}");
    assert!(!folder.run("history mail").done().stdout.contains("bert on "));
}
