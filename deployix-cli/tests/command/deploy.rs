//! `deployix deploy`, as far as it goes without an engine.

use serde_json::{Value, json};

use crate::support::{Folder, RACK, codes, keys};

/// The fate of a functionality in a document.
fn fate<'d>(document: &'d Value, name: &str) -> &'d Value {
    let fates = document["report"]["fates"].as_array().unwrap();
    let own = fates.iter().find(|fate| fate["owner"] == json!({"functionality": name}));
    &own.unwrap_or_else(|| panic!("{document:#}"))["fate"]
}

#[test]
fn without_a_terminal_nothing_is_done_unless_somebody_said_yes() {
    let folder = Folder::with(RACK);
    let ran = folder.run("deploy");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("give --yes"), "{}", ran.stderr);
    assert!(ran.stdout.contains("+ create nixos/rack/functionality/page"), "{}", ran.stdout);
    assert!(!folder.path().join("history").exists());
    let (document, code) = folder.json("deploy");
    assert_eq!((code, &document["report"]), (Some(2), &serde_json::Value::Null), "{document}");
}

#[test]
fn where_there_is_nothing_to_do_nobody_is_asked() {
    let folder = Folder::with("version = 1\nname = \"empty\"\n");
    let ran = folder.run("deploy").done();
    assert_eq!(ran.stdout, "no changes; 0 unchanged\n");
    assert!(!folder.path().join("history").exists());
    let (document, code) = folder.json("deploy");
    assert_eq!(code, Some(0));
    assert_eq!(keys(&document), ["deployment", "diagnostics", "drift", "plan", "report"]);
}

#[test]
fn what_fails_is_told_functionality_by_functionality_and_stands_in_the_history() {
    let folder = Folder::with(RACK);
    let ran = folder.run("deploy --yes").failed();
    let row = |name: &str| {
        let mut rows = ran.stdout.lines().filter(|line| line.contains('✘'));
        rows.find(|line| line.starts_with(name)).unwrap()
    };
    assert!(row("target rack").contains("✘ failed"), "{}", ran.stdout);
    assert!(row("target rack").contains("nothing of it stands"), "{}", ran.stdout);
    assert!(row("page ").contains("✘ blocked"), "{}", ran.stdout);
    assert!(row("page ").contains("it needs `target rack`"), "{}", ran.stdout);
    assert!(ran.stdout.contains("0 of 2 functionalities done"), "{}", ran.stdout);
    assert!(ran.stderr.contains("target rack: create nixos/rack/system"), "{}", ran.stderr);

    let (document, code) = folder.json("deploy --yes");
    assert_eq!(code, Some(1));
    assert!(fate(&document, "page")["blocked"].is_object(), "{document:#}");
    let history = folder.run("history").done();
    assert!(history.stdout.contains("rack.invalid cannot be reached"), "{}", history.stdout);
}

#[test]
fn what_is_wrong_in_one_functionality_keeps_no_other_one_from_its_turn() {
    let folder = Folder::with(&RACK.replace("[\"db.example.com\"", "[\"nobody.example.com\""));
    let (document, code) = folder.json("deploy --yes");
    assert_eq!(code, Some(1));
    assert!(codes(&document).contains(&"upstream-not-provided"));
    assert_eq!(document["plan"]["left"], json!(["page"]));
    assert!(fate(&document, "db").is_object(), "it was tried");
    let ran = folder.run("deploy --yes").failed();
    assert!(ran.stdout.contains("✘ left as it was"), "{}", ran.stdout);
}

#[test]
fn a_plan_of_something_else_is_refused_before_anything_is_done() {
    let folder = Folder::with(RACK);
    let text = String::from_utf8(folder.planned("").to_saved().unwrap()).unwrap();
    for (wrong, why) in [
        (text.replace("\"format\":1", "\"format\":7"), "it is of format 7"),
        (text.replace("\"deployment\":\"shop\"", "\"deployment\":\"other\""), "a plan for `other`"),
        (text.replacen("\"generation\":0", "\"generation\":99", 1), "another history"),
        (text[..text.len() / 2].to_owned(), "no saved plan"),
        ("version = 1".to_owned(), "no saved plan"),
    ] {
        folder.write("wrong.json", &wrong);
        let ran = folder.run("deploy --plan wrong.json --yes").failed();
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        let (document, _) = folder.json("deploy --plan wrong.json --yes");
        assert_eq!(codes(&document), ["plan-refused"]);
    }
    assert!(!folder.path().join("history").exists());
    let ran = folder.run("deploy --plan not-there.json --yes").failed();
    assert!(ran.stderr.contains("cannot read the plan"), "{}", ran.stderr);
}

#[test]
fn a_plan_is_refused_where_what_it_touches_has_moved_on_with_who_did_it() {
    let folder = Folder::with(RACK);
    let plan = folder.planned("--only db");
    folder.pretend(&plan, "anna", |_| true);
    let generation = folder.heads("shop").generation;
    let ran = folder.run("deploy --plan plan.json --yes").failed();
    for part in ["nixos/rack/functionality/db", "`db`", "by anna on ", "at 20", "plan anew"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains(&format!("in generation {generation}")), "{}", ran.stderr);
    assert_eq!(folder.heads("shop").generation, generation, "nothing was written");
}

#[test]
fn a_plan_is_accepted_where_only_something_else_has_moved_on() {
    let folder = Folder::with(RACK);
    let all = folder.planned("");
    folder.planned("--only db");
    folder.pretend(&all, "anna", |id| id.ends_with("functionality/page"));
    let (document, code) = folder.json("deploy --plan plan.json --yes");
    // Nobody is there; that it was tried is what counts.
    assert_eq!(code, Some(1));
    assert_eq!(codes(&document), [""; 0]);
    assert!(fate(&document, "db")["blocked"].is_object(), "{document:#}");
}

#[test]
fn applications_alone_are_deployed_whether_the_deployment_lists_them_or_not() {
    let folder = Folder::new();
    let catalog = |name: &str, port: u16, upstreams: &str| {
        format!(
            "version = 1\n[functionality.{name}]\nfqdn = \"{name}.example.com\"\n\
             upstream-hosts = [{upstreams}]\nservice.start = [\"{name}\"]\n\
             service.software.nix = [\"{name}\"]\nservice.endpoints.main.port = {port}\n"
        )
    };
    folder.write("db/deployix.toml", &catalog("db", 8000, ""));
    folder.write("ops/deployment.toml", "version = 1\nname = \"shop\"\ncatalogs = [\"../db\"]\n");
    folder.write("web/deployix.toml", &catalog("web", 8001, "\"db.example.com\""));
    let target = "[target.rack]\nbackend = \"nixos\"\naddress = \"rack.invalid\"\n";
    folder.write("ops/deployment.toml", &(folder.read("ops/deployment.toml") + target));

    let steps = |arguments: &str| {
        let (document, code) = folder.json(&format!("deploy --yes ops {arguments}"));
        assert_eq!(code, Some(1), "nobody is there: {document:#}");
        assert_eq!(codes(&document), ["noted", "target-unseen"], "{document:#}");
        let steps = document["plan"]["steps"].as_array().unwrap().clone();
        let modules = steps.iter().map(|step| step["resource"].as_str().unwrap().to_owned());
        modules.filter(|id| id.contains("functionality")).collect::<Vec<_>>()
    };
    assert_eq!(steps("db"), ["nixos/rack/functionality/db"]);
    assert_eq!(steps("db/deployix.toml"), ["nixos/rack/functionality/db"]);
    assert!(steps("web").contains(&"nixos/rack/functionality/web".to_owned()));
    // The deployment itself knows nothing of it.
    assert_eq!(steps(""), ["nixos/rack/functionality/db"]);

    folder.run("deploy --yes ops ops/deployment.toml").wrong_usage();
    folder.run("deploy --yes ops web --plan plan.json").wrong_usage();
    folder.run("deploy --yes ops --only db --plan plan.json").wrong_usage();
    folder.write("none/deployix.toml", "version = 1\n");
    let ran = folder.run("deploy --yes ops none").failed();
    assert!(ran.stderr.contains("exports no functionality"), "{}", ran.stderr);
}

#[test]
fn what_a_run_takes_over_stands_in_the_history_before_anything_is_done() {
    let (folder, lost) = (Folder::with(RACK), "0123456789abcdef".repeat(2));
    folder.run(&format!("plan --take-over {lost}")).done();
    assert!(!folder.path().join("history").exists(), "planning takes nothing over");
    folder.run(&format!("deploy --yes --take-over {lost}")).failed();
    let (document, _) = folder.json("history");
    let records = document["entries"][0]["records"].as_array().unwrap();
    let own = records[0]["identity"]["history"].as_str().unwrap();
    assert!(own.len() == 32 && own != lost, "{own}");
    assert_eq!(records[1]["take-over"]["history"], json!(lost));
    let told = folder.run("history").done().stdout;
    assert!(told.contains(&format!("took over what the lost history {lost} kept")), "{told}");
}

#[test]
fn what_is_no_id_of_a_history_is_wrong_usage() {
    for command in ["plan", "deploy --yes", "destroy --yes"] {
        let ran = Folder::with(RACK).run(&format!("{command} --take-over 0123456789AB"));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("is not a history's id"), "{}", ran.stderr);
    }
}
