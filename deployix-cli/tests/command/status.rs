//! `deployix status`.

use serde_json::json;

use crate::support::{Folder, RACK, codes, keys};

#[test]
fn where_nothing_was_done_nothing_stands() {
    let folder = Folder::with(RACK);
    assert_eq!(folder.run("status").done().stdout, "shop: nothing stands\n");
    let (document, code) = folder.json("status");
    assert_eq!(code, Some(0));
    let expected = ["deployment", "diagnostics", "drift", "generation", "runs", "standing"];
    assert_eq!(keys(&document), expected);
    assert!(!folder.path().join("history").exists());
}

#[test]
fn what_stands_is_told_with_where_since_when_and_by_whom() {
    let folder = Folder::with(RACK);
    folder.pretend(&folder.planned(""), "anna", |id| id.contains("functionality"));
    let text = folder.run("status").done().stdout;
    let row = text.lines().find(|line| line.starts_with("page ")).unwrap();
    for part in ["rack", "1 resource", "generation 1, 20", "anna on "] {
        assert!(row.contains(part), "{part}: {text}");
    }
    let (document, _) = folder.json("status");
    assert_eq!(document["standing"].as_array().unwrap().len(), 2);
    assert_eq!(document["standing"][1]["owner"], json!({"functionality": "page"}));
    assert_eq!(document["standing"][1]["since"]["by"]["name"], "anna");
    // The specs may be wrong by now: what stands, stands.
    folder.write("deployment.toml", &RACK.replace("service.start = [\"db\"]", "strat = 1"));
    assert!(folder.run("status").done().stdout.contains("anna on "));
}

#[test]
fn providers_are_asked_where_the_file_says_now_that_they_are() {
    let folder = Folder::with(RACK);
    folder.pretend(&folder.planned(""), "anna", |_| true);
    let elsewhere = RACK.replace("rack.invalid", "elsewhere.invalid");
    // One target that is wrong in itself is where it is said to be all the same.
    let unusable = elsewhere.clone() + "\nextensions.nixos.modules = 1\n";
    for (text, command) in [
        (&elsewhere, "status --refresh"),
        (&elsewhere, "plan --refresh"),
        (&unusable, "status --refresh"),
        (&unusable, "plan --refresh"),
    ] {
        folder.write("deployment.toml", text);
        let (document, _) = folder.json(command);
        let found = document["diagnostics"].as_array().unwrap();
        let unseen = found.iter().find(|finding| finding["code"] == "target-unseen");
        let unseen = unseen.unwrap_or_else(|| panic!("{document:#}"))["message"].to_string();
        let now = unseen.contains("elsewhere.invalid") && !unseen.contains("rack.invalid");
        assert!(now, "{command}: {unseen}");
    }
}

#[test]
fn a_plan_against_what_stands_is_about_what_differs_and_asks_nobody() {
    let folder = Folder::with(RACK);
    folder.pretend(&folder.planned(""), "anna", |_| true);
    assert_eq!(folder.run("plan --exit-code").done().stdout, "no changes; 3 unchanged\n");
    folder.write("deployment.toml", &RACK.replace("port = 5432", "port = 5433"));
    let (document, code) = folder.json("plan --exit-code");
    assert_eq!(code, Some(3));
    let steps = document["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["action"] == "update"), "{document:#}");
    assert_eq!(document["generation"], 1);
    // Nobody is there to tell, so "no changes" would be no answer.
    let (document, code) = folder.json("plan --refresh");
    assert_eq!((codes(&document), code), (vec!["noted", "target-unseen"], Some(1)));
}
