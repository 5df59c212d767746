//! `deployix compile`.

use std::path::Path;

use serde_json::json;

use crate::support::{Folder, SHOP, SHUFFLED, codes, keys};

#[test]
fn files_stand_below_their_target_and_a_second_run_changes_nothing() {
    let folder = Folder::with(SHOP);
    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.contains("wrote out/box/compose.yaml\n"), "{}", ran.stdout);
    let before = folder.files("out");
    assert!(before.contains_key(Path::new("box/page/Dockerfile")), "{:?}", before.keys());

    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.ends_with("of them unchanged\n"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert_eq!(folder.files("out"), before);
}

#[test]
fn shuffled_specs_give_the_same_bytes() {
    for backend in ["", " --backend docker", " --backend nixos", " --backend ec2"] {
        let files = |text| {
            let folder = Folder::with(text);
            folder.run(&format!("compile --out out{backend}")).done();
            folder.files("out")
        };
        assert_eq!(files(SHOP), files(SHUFFLED), "{backend}");
    }
}

#[test]
fn one_backend_gets_everything_on_one_target_named_after_it() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out --backend nixos").done();
    let files = folder.files("out");
    for path in ["flake.nix", "configuration.nix", "modules/db.nix", "modules/page.nix"] {
        assert!(files.contains_key(&Path::new("nixos").join(path)), "{:?}", files.keys());
    }
    assert!(
        files.keys().all(|path| path.starts_with("nixos") || path.starts_with(".deployix-files"))
    );
}

#[test]
fn an_unknown_backend_is_wrong_usage() {
    let ran = Folder::with(SHOP).run("compile --out out --backend nixes").wrong_usage();
    assert!(ran.stderr.contains("did you mean `nixos`?"), "{}", ran.stderr);
    Folder::with(SHOP).run("compile").wrong_usage();
}

#[test]
fn the_document_lists_what_was_done() {
    let folder = Folder::with(SHOP);
    let (document, code) = folder.json("compile --out out");
    assert_eq!(code, Some(0));
    assert_eq!(
        keys(&document),
        ["changed", "deployment", "diagnostics", "files", "folder", "left", "removed"]
    );
    assert_eq!(document["folder"], "out");
    let files = keys(&document["files"]);
    assert!(files.contains(&"box/compose.yaml"), "{files:?}");
    assert_eq!(document["changed"], json!(files));
    assert_eq!(folder.json("compile --out out").0["changed"], json!([]));
}

#[test]
fn what_failed_stays_as_it_last_was_and_what_is_gone_goes() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out").done();
    let page = folder.read("out/box/page/Dockerfile");

    let broken = SHOP.replace("[\"db.example.com\"", "[\"cb.example.com\"");
    folder.write("deployment.toml", &broken);
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stdout.contains("left out/box/page/Dockerfile\n"), "{}", ran.stdout);
    assert_eq!(folder.read("out/box/page/Dockerfile"), page);

    let start = SHOP.find("[functionality.page]").unwrap();
    let end = SHOP.find("[functionality.db]").unwrap();
    folder.write("deployment.toml", &(SHOP[..start].to_owned() + &SHOP[end..]));
    folder.write("out/box/notes.txt", "mine");
    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.contains("removed out/box/page/Dockerfile\n"), "{}", ran.stdout);
    assert!(!folder.path().join("out/box/page").exists());
    assert_eq!(folder.read("out/box/notes.txt"), "mine");
}

#[test]
fn a_file_that_cannot_be_understood_changes_nothing() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out").done();
    let before = folder.files("out");
    folder.write("deployment.toml", "version = 1\nname = ");
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stderr.contains("error[syntax-invalid]"), "{}", ran.stderr);
    assert_eq!(folder.files("out"), before);
}

#[test]
fn other_peoples_files_are_not_overwritten() {
    let folder = Folder::with(SHOP);
    folder.write("out/box/compose.yaml", "mine");
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stderr.contains("`box/compose.yaml` is there already"), "{}", ran.stderr);
    assert_eq!(folder.files("out").len(), 1);
    let (document, _) = folder.json("compile --out out");
    assert_eq!(codes(&document), ["file-not-written"]);
}
