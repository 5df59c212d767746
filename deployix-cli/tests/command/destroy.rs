//! `deployix destroy`, as far as it goes without an engine.

use serde_json::json;

use crate::support::{Folder, RACK, SHOP, codes};

fn stands(folder: &Folder) {
    folder.pretend(&folder.planned(""), "anna", |_| true);
}

#[test]
fn where_nothing_stands_there_is_nothing_to_remove() {
    let folder = Folder::with(RACK);
    assert_eq!(folder.run("destroy").done().stdout, "no changes; 0 unchanged\n");
    assert!(!folder.path().join("history").exists());
}

#[test]
fn a_target_that_cannot_be_asked_what_stands_there_is_told_though_nothing_is_known_of_it() {
    let (document, code) = Folder::with(RACK).json("destroy");
    assert_eq!((codes(&document), code), (vec!["target-unseen"], Some(0)));
    let told = document["diagnostics"][0]["message"].as_str().unwrap();
    assert!(
        told.contains("target `rack` cannot be asked") && told.contains("rack.invalid"),
        "{told}"
    );
}

#[test]
fn everything_is_planned_away_dependents_first_and_asked_about() {
    let folder = Folder::with(RACK);
    stands(&folder);
    let ran = folder.run("destroy");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("- remove nixos/rack/functionality/db"), "{}", ran.stdout);
    // What is wrong in the specs is no reason to keep what stands.
    folder.write("deployment.toml", &RACK.replace("service.start = [\"db\"]", "strat = 1"));
    let (document, _) = folder.json("destroy --yes");
    let steps = document["plan"]["steps"].as_array().unwrap();
    let removed: Vec<_> = steps.iter().map(|step| step["resource"].as_str().unwrap()).collect();
    let of = |name: &str| format!("nixos/rack/functionality/{name}");
    assert_eq!(removed, [of("page"), of("db"), "nixos/rack/system".to_owned()]);
    assert!(steps.iter().all(|step| step["action"] == "remove"), "{document:#}");
    // Nobody is there to be asked.
    assert_eq!(codes(&document), ["target-unseen"]);
}

#[test]
fn what_stands_is_sought_where_the_file_says_now_whatever_else_is_wrong_in_it() {
    let folder = Folder::with(RACK);
    stands(&folder);
    let elsewhere = RACK.replace("rack.invalid", "elsewhere.invalid");
    folder.write("deployment.toml", &elsewhere.replace("service.start = [\"db\"]", "strat = 1"));
    let (document, code) = folder.json("destroy --yes");
    assert_eq!((codes(&document), code), (vec!["target-unseen"], Some(1)));
    let unseen = document["diagnostics"][0]["message"].as_str().unwrap();
    assert!(unseen.contains("elsewhere.invalid") && !unseen.contains("rack.invalid"), "{unseen}");
    let told = document["report"].to_string();
    assert!(told.contains("elsewhere.invalid") && !told.contains("rack.invalid"), "{told}");
    let address = || folder.heads("shop").sites["rack"].target.address.clone().unwrap();
    assert_eq!(address(), "elsewhere.invalid");
    // An address that did not work is put right the same way.
    folder.write("deployment.toml", RACK);
    let ran = folder.run("destroy --yes").failed();
    assert!(!(ran.stdout + &ran.stderr).contains("elsewhere.invalid"));
    assert_eq!(address(), "rack.invalid");
    // Of what is described no more, the history tells where it was.
    let gone = RACK.replace("rack]", "shelf]").replace("rack.invalid", "elsewhere.invalid");
    folder.write("deployment.toml", &gone);
    let (document, _) = folder.json("destroy --yes");
    let told = document["report"].to_string();
    assert!(told.contains("rack.invalid") && !told.contains("elsewhere"), "{told}");
}

#[test]
fn a_name_of_which_nothing_stands_is_told_with_the_nearest() {
    let folder = Folder::with(RACK);
    stands(&folder);
    let ran = folder.run("destroy --only pgae --yes").failed();
    assert!(ran.stderr.contains("did you mean `page`?"), "{}", ran.stderr);
    let (document, code) = folder.json("destroy --only pgae --yes");
    let found = vec!["target-unseen", "reference-unknown"];
    assert_eq!((codes(&document), code), (found, Some(1)));
}

#[test]
fn what_holds_data_is_kept_and_named_unless_it_is_to_go() {
    let folder = Folder::with(
        &SHOP.replace("[target.box]", "[target.box]\naddress = \"unix:///no/engine\""),
    );
    stands(&folder);
    let volume = "docker/box/volume/";
    let ran = folder.run("destroy");
    let kept = ran.stdout.lines().find(|line| line.starts_with("kept")).unwrap();
    assert!(kept.contains(volume) && kept.contains("destroy --volumes"), "{}", ran.stdout);
    assert!(!ran.stdout.contains(&format!("- remove {volume}")), "{}", ran.stdout);
    let ran = folder.run("destroy --volumes");
    assert!(ran.stdout.contains(&format!("- remove {volume}")), "{}", ran.stdout);
    assert!(!ran.stdout.contains("kept"), "{}", ran.stdout);
}

#[test]
fn one_functionality_is_not_removed_from_under_another() {
    let folder = Folder::with(RACK);
    stands(&folder);
    let (document, _) = folder.json("destroy --only page --yes");
    let steps = document["plan"]["steps"].as_array().unwrap();
    let page = json!({"functionality": "page"});
    assert!(steps.iter().all(|step| step["owner"] == page), "{document:#}");
}
