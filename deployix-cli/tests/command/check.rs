//! `deployix check`.

use crate::support::{Folder, SHOP, codes, keys};

/// A functionality on a target that is not there, one with a wrong key, one that needs it, and one
/// that only the backend refuses.
const WRONG: &str = r#"version = 1
name = "shop"

[place]
page = "bx"

[functionality.page]
service.software.image = "page"

[functionality.db]
fqdn = "db.example.com"
service.strat = ["db"]

[functionality.worker]
upstream-hosts = ["db.example.com"]
service.software.image = "worker"

[functionality.early]
service.start = ["early"]
service.software.nix = ["early"]

[target.box]
backend = "docker"
"#;

#[test]
fn a_deployment_without_problems_is_summed_up() {
    let ran = Folder::with(SHOP).run("check").done();
    assert_eq!(ran.stdout, "shop: 2 functionalities on 1 target, no problems\n");
    assert_eq!(ran.stderr, "");
}

#[test]
fn every_problem_is_shown_with_its_line_in_order() {
    let folder = Folder::with(WRONG);
    let ran = folder.run("check").failed();
    let places = ran.stderr.lines().filter_map(|line| line.trim().strip_prefix("--> "));
    let expected = ["5:8", "12:9", "15:19", "20:24"].map(|at| format!("deployment.toml:{at}"));
    assert_eq!(places.collect::<Vec<_>>(), expected, "{}", ran.stderr);
    assert_eq!(ran.stdout, "shop: 0 functionalities on 1 target, 4 left out, 4 errors\n");

    let (document, code) = folder.json("check");
    assert_eq!(code, Some(1));
    let expected = ["reference-unknown", "key-unknown", "blocked", "not-compiled"];
    assert_eq!(codes(&document), expected);
}

#[test]
fn a_problem_shows_the_line_the_column_and_the_remedy() {
    let text = SHOP.replace("upstream-hosts = [\"db.", "upstream-hosts = [\"bd.");
    let ran = Folder::with(&text).run("check").failed();
    let expected = "\
error[upstream-not-provided]: `page` needs bd.example.com, which is no functionality's fqdn
 --> deployment.toml:7:19
  |
7 | upstream-hosts = [\"bd.example.com\"]
  |                   ^^^^^^^^^^^^^^^^
  |
  = help: did you mean db.example.com? else add bd.example.com to `external-hosts` if it is not deployed here

";
    assert_eq!(ran.stderr, expected);
}

#[test]
fn the_document_has_counts_and_findings() {
    let (document, code) = Folder::with(SHOP).json("check");
    assert_eq!(code, Some(0));
    assert_eq!(
        keys(&document),
        ["deployment", "diagnostics", "errors", "functionalities", "left", "targets", "warnings"]
    );
    assert_eq!(document["deployment"], "shop");
    assert_eq!(document["functionalities"], 2);
    assert_eq!(document["diagnostics"], serde_json::json!([]));
}

#[test]
fn a_finding_in_the_document_has_its_place_and_remedy() {
    let text = SHOP.replace("service.start = [\"db\"]", "service.strat = [\"db\"]");
    let (document, _) = Folder::with(&text).json("check");
    // The first one is that the page is left out with it.
    let finding = &document["diagnostics"][1];
    assert_eq!(finding["code"], "key-unknown");
    assert_eq!(finding["severity"], "error");
    assert_eq!(finding["place"]["file"], "deployment.toml");
    assert_eq!(finding["place"]["line"], 15);
    assert_eq!(finding["place"]["column"], 9);
    assert_eq!(finding["place"]["excerpt"], "service.strat = [\"db\"]");
}

#[test]
fn two_things_of_one_name_show_both_places() {
    let folder = Folder::with(
        "version = 1\nname = \"shop\"\ncatalogs = [\"a.toml\", \"b.toml\"]\n[target.box]\nbackend = \"docker\"\n",
    );
    let catalog = "version = 1\n[functionality.x]\nfqdn = \"x.example.com\"\nservice.software.image = \"x\"\n";
    folder.write("a.toml", catalog);
    folder.write("b.toml", &catalog.replace("functionality.x", "functionality.y"));
    let ran = folder.run("check").failed();
    assert!(ran.stderr.contains("error[fqdn-taken]"), "{}", ran.stderr);
    assert!(ran.stderr.contains("a.toml:3:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("b.toml:3:"), "{}", ran.stderr);
}

#[test]
fn warnings_alone_are_no_failure() {
    let declared = "name = \"shop\"\nexternal-hosts = [\"db.example.com\"]";
    let ran = Folder::with(&SHOP.replace("name = \"shop\"", declared)).run("check").done();
    assert!(ran.stderr.starts_with("warning[external-host-provided]"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "shop: 2 functionalities on 1 target, 1 warning\n");
}
