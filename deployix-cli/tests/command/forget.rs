//! `deployix forget`: a target that nobody will reach again is taken for gone.

use serde_json::json;

use crate::support::{CLOUD, Folder, RACK, SHOP, codes, keys};

/// Two machines that nobody reaches, a functionality on each.
fn racks() -> String {
    let apart = RACK.replacen(
        "[functionality.page]",
        "[functionality.page]\nmachine.target = \"shelf\"",
        1,
    );
    let both =
        apart.replacen("[functionality.db]", "[functionality.db]\nmachine.target = \"rack\"", 1);
    both.replacen(
        "address = \"rack.invalid\"",
        "address = \"rack.invalid\"\nnetwork = \"n\"\nprivate-addresses = [\"10.0.0.1\"]",
        1,
    ) + "\n[network.n]\n[target.shelf]\nbackend = \"nixos\"\naddress = \"shelf.invalid\"\n\
           network = \"n\"\nprivate-addresses = [\"10.0.0.2\"]\n"
}

/// A folder where all of a deployment stands, as far as its history goes.
fn standing(text: &str) -> Folder {
    let folder = Folder::with(text);
    folder.pretend(&folder.planned(""), "anna", |_| true);
    folder
}

#[test]
fn a_machine_that_is_dead_for_good_no_longer_fails_every_run() {
    let folder = standing(&racks());
    // The machine is described no more: what ran there runs on the other, and removing it fails.
    let without = racks().replace("machine.target = \"rack\"\n", "");
    let at = without.find("[target.rack]").unwrap();
    let end = without.find("\n[network.n]").unwrap();
    folder.write("deployment.toml", &format!("{}{}", &without[..at], &without[end..]));
    let removals = |folder: &Folder| {
        let (document, _) = folder.json("plan");
        let steps = document["steps"].as_array().unwrap().clone();
        let gone = steps.into_iter().filter(|step| step["action"] == "remove");
        gone.map(|step| step["resource"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let there = ["nixos/rack/functionality/db", "nixos/rack/system"];
    assert_eq!(removals(&folder), there);
    folder.run("deploy --yes").failed();

    let told = folder.run("forget rack --yes").done().stdout;
    for id in there {
        assert!(told.contains(id), "{told}");
    }
    assert!(!told.contains("shelf") && told.contains("nothing is removed there"), "{told}");
    assert_eq!(removals(&folder), [""; 0]);
    let heads = folder.heads("shop");
    assert!(heads.resources.keys().all(|id| id.as_str().starts_with("nixos/shelf/")));
    assert_eq!(heads.sites.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["shelf"]);
    let (document, _) = folder.json("plan");
    let steps = document["steps"].to_string();
    assert!(steps.contains("nixos/shelf/functionality/db"), "{document:#}");
}

#[test]
fn nothing_is_forgotten_unless_somebody_said_yes() {
    let folder = standing(RACK);
    let before = folder.files("history");
    let ran = folder.run("forget rack");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stdout.contains("- nixos/rack/functionality/db of db"), "{}", ran.stdout);
    assert!(ran.stdout.contains("will be placed anew: db, page"), "{}", ran.stdout);
    assert!(ran.stderr.contains("give --yes"), "{}", ran.stderr);
    let (document, code) = folder.json("forget rack");
    assert_eq!((code, &document["generation"]), (Some(2), &json!(null)));
    assert_eq!(folder.files("history"), before);
    folder.run("forget").wrong_usage();
    folder.run("forget ./deployment.toml").wrong_usage();
    folder.run("forget rack a.toml b.toml").wrong_usage();
}

#[test]
fn the_history_tells_who_forgot_what_and_when() {
    let folder = standing(RACK);
    let (document, code) = folder.json("forget rack ./deployment.toml --yes");
    assert_eq!(code, Some(0));
    assert_eq!(keys(&document), ["deployment", "diagnostics", "generation", "targets"]);
    let generation = document["generation"].as_u64().unwrap();
    assert_eq!(folder.heads("shop").generation, generation);
    for words in ["history", "history rack", "history db"] {
        let told = folder.run(words).done().stdout;
        let line = "target rack was forgotten, with 3 resources of db, page, target rack; nothing was removed";
        assert!(told.contains(line), "{told}");
        assert!(told.contains(&format!("generation {generation}, 20")), "{told}");
    }
    assert!(!folder.run("history shelf").done().stdout.contains("forgotten"));
    let (document, _) = folder.json("history");
    let resources = &document["story"]["forgotten"][0]["resources"];
    assert_eq!(resources["nixos/rack/system"], json!({"target": "rack"}));
    assert_eq!(folder.run("status").done().stdout, "shop: nothing stands\n");
    assert_eq!(folder.run("destroy --yes").done().stdout, "no changes; 0 unchanged\n");
}

#[test]
fn a_target_that_the_history_does_not_know_is_told_with_the_nearest() {
    let folder = standing(RACK);
    let before = folder.files("history");
    let ran = folder.run("forget rakc --yes").failed();
    assert!(ran.stderr.contains("did you mean `rack`?"), "{}", ran.stderr);
    // Of several that are named all are forgotten, or none.
    let (document, code) = folder.json("forget rack rakc --yes");
    assert_eq!((codes(&document), code), (vec!["reference-unknown"], Some(1)));
    assert_eq!(folder.files("history"), before);
}

#[test]
fn nothing_is_forgotten_that_somebody_is_at() {
    let folder = standing(RACK);
    folder.hold("shop", "db");
    let before = folder.files("history");
    let ran = folder.run("forget rack --yes").failed();
    assert!(ran.stderr.contains("nixos/rack/functionality/db is held by bert"), "{}", ran.stderr);
    let (document, _) = folder.json("forget rack --yes");
    assert_eq!(codes(&document), ["forget-refused"]);
    assert_eq!(folder.files("history"), before);
}

#[test]
fn what_holds_data_is_named_on_any_backend() {
    let engine = SHOP.replace("[target.box]", "[target.box]\naddress = \"unix:///no/engine\"");
    let folder = standing(&engine);
    let told = folder.run("forget box --yes").done().stdout;
    let volume = told.lines().find(|line| line.contains("docker/box/volume/")).unwrap();
    assert!(volume.ends_with(" of db, which holds data"), "{told}");
    assert!(folder.heads("shop").resources.is_empty());
}

#[test]
fn what_two_targets_share_is_forgotten_with_the_last() {
    let folder = standing(CLOUD);
    let shared = |folder: &Folder| {
        let heads = folder.heads("shop");
        let ids = heads.resources.keys().map(ToString::to_string);
        ids.filter(|id| id.starts_with("ec2/network/shop")).collect::<Vec<_>>()
    };
    let all = shared(&folder);
    assert!(!all.is_empty());
    folder.run("forget one --yes").done();
    assert_eq!(shared(&folder), all);
    let heads = folder.heads("shop");
    assert!(!heads.resources.keys().any(|id| id.as_str().contains("/one/")));
    // What they shared can still be removed by way of the one that it was made for.
    assert!(heads.sites.keys().any(|name| name.as_str() == "one"));
    folder.run("forget two --yes").done();
    assert!(folder.heads("shop").resources.is_empty());
    let both = standing(CLOUD);
    both.run("forget one two --yes").done();
    let heads = both.heads("shop");
    assert!(heads.resources.is_empty() && heads.sites.is_empty(), "{:?}", heads.sites);
}

#[test]
fn a_machine_at_another_address_is_told_of_until_it_was_deployed_to() {
    let folder = standing(RACK);
    assert_eq!(folder.run("plan").done().stderr.matches("target-moved").count(), 0);
    folder.write("deployment.toml", &RACK.replace("rack.invalid", "other.invalid"));
    let (document, _) = folder.json("plan");
    assert!(codes(&document).contains(&"target-moved"), "{document:#}");
    let told = folder.run("plan").done().stderr;
    assert!(told.contains("was at rack.invalid and is at other.invalid now"), "{told}");
}
