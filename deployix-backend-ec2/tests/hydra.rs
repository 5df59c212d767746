//! A whole deployment, as it comes out.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use support::{compiled, file, hydra};

#[test]
fn the_resources_of_hydra_are_as_they_were_reviewed() {
    let (compiled, found) = compiled(hydra());
    assert!(!found.has_errors(), "{found}");
    insta::assert_snapshot!("remarks", found.to_string());
    insta::assert_snapshot!("resources", file(&compiled, "ec2-singapore", "resources.json"));
    insta::assert_snapshot!(
        "user-data",
        file(&compiled, "ec2-singapore", "user-data/ec2-singapore-0")
    );
}

#[test]
fn two_runs_give_the_same_bytes() {
    let files = || {
        let (compiled, _) = compiled(hydra());
        let files = compiled.files();
        files
            .iter()
            .map(|((target, path), content)| {
                (target.to_string(), path.to_string(), content.bytes.to_vec())
            })
            .collect::<Vec<_>>()
    };
    assert!(files() == files());
}

#[test]
fn every_resource_stands_once_and_after_what_it_needs() {
    let (compiled, _) = compiled(hydra());
    let text = file(&compiled, "ec2-singapore", "resources.json");
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut before = std::collections::HashSet::new();
    let ids: std::collections::HashSet<_> = entries.iter().map(|entry| &entry["id"]).collect();
    for entry in &entries {
        for needed in entry["after"].as_array().unwrap() {
            assert!(before.contains(needed) || !ids.contains(needed), "{} {needed}", entry["id"]);
        }
        assert!(before.insert(&entry["id"]), "{}", entry["id"]);
    }
}
