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
    let expected = ["5:8", "12:9", "20:24"].map(|at| format!("deployment.toml:{at}"));
    assert_eq!(places.collect::<Vec<_>>(), expected, "{}", ran.stderr);
    assert!(ran.stderr.contains(", and `worker` cannot be deployed\n"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "shop: 0 functionalities on 1 target, 4 left out, 3 errors\n");

    let (document, code) = folder.json("check");
    assert_eq!(code, Some(1));
    assert_eq!(codes(&document), ["reference-unknown", "key-unknown", "not-compiled"]);
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
fn a_mistake_in_a_target_is_one_error_with_what_it_stops() {
    let text = SHOP.replace(
        "backend = \"docker\"",
        "backend = \"docker\"\nextensions.docker.base-imag = \"x\"",
    );
    let ran = Folder::with(&text).run("check").failed();
    assert_eq!(ran.stderr.matches("error[").count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("= note: so `db` and `page` cannot be deployed\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "shop: 0 functionalities on 0 targets, 2 left out, 1 error\n");
}

#[test]
fn a_file_that_cannot_be_read_is_one_error_and_others_mistakes_are_told_beside_it() {
    let text = SHOP.replace("[target.box]\nbackend = \"docker\"\n", "");
    let text = text.replace(
        "name = \"shop\"",
        "name = \"shop\"\ninfrastructure = [\"infra.toml\"]\nplace = { page = \"box\", db = \"bix\" }",
    );
    let folder = Folder::with(&text);
    folder.write("infra.toml", "version = 1\n[target.box\nbackend = \"docker\"\n");
    let (document, code) = folder.json("check");
    assert_eq!((code, codes(&document)), (Some(1), vec!["syntax-invalid"]), "{document:#}");
    let ran = folder.run("check").failed();
    let note = "= note: so it is not known whether there is a target `bix` or a target `box`, and `db` and \
                `page` cannot be deployed\n";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);

    folder.write("deployment.toml", &text.replace("[\"db.example", "[\"bd.example"));
    let (document, _) = folder.json("check");
    assert_eq!(codes(&document), ["upstream-not-provided", "syntax-invalid"], "{document:#}");
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
    let finding = &document["diagnostics"][0];
    assert_eq!(finding["stops"]["functionalities"], serde_json::json!(["page"]));
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
