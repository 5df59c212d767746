//! `deployix graph`.

use serde_json::json;

use crate::support::{Folder, SHOP, SHUFFLED, keys};

/// The shop, whose page also reaches a host outside.
fn outgoing() -> String {
    SHOP.replace("name = \"shop\"", "name = \"shop\"\nexternal-hosts = [\"api.example.net\"]")
        .replace("[\"db.example.com\"", "[\"db.example.com\", \"api.example.net\"")
}

#[test]
fn the_text_shows_targets_and_upstreams() {
    let ran = Folder::with(&outgoing()).run("graph").done();
    let expected = "\
shop: 2 functionalities on 1 target

box (docker)
  db                   db.example.com              sql 5432/tcp
  page                 page.example.com            http 8000/tcp
    → db               db.example.com    loopback  sql 5432/tcp
    → api.example.net  api.example.net   external
";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn the_document_has_nodes_and_edges_whichever_way_it_is_asked_for() {
    let folder = Folder::with(&outgoing());
    let (document, code) = folder.json("graph");
    assert_eq!(code, Some(0));
    assert_eq!(keys(&document), ["deployment", "diagnostics", "edges", "left", "nodes"]);
    let nodes = document["nodes"].as_array().unwrap();
    let node = |at: usize| json!([nodes[at]["name"], nodes[at]["fqdn"], nodes[at]["target"]]);
    assert_eq!(node(0), json!(["db", "db.example.com", "box"]));
    assert_eq!(node(1), json!(["page", "page.example.com", "box"]));
    assert_eq!(node(2), json!(["api.example.net", "api.example.net", null]));
    let edges = document["edges"].as_array().unwrap();
    let edge = |at: usize| json!([edges[at]["from"], edges[at]["to"], edges[at]["via"]]);
    assert_eq!(edges.len(), 2);
    assert_eq!(edge(0), json!(["page", "db", "loopback"]));
    assert_eq!(edge(1), json!(["page", "api.example.net", "external"]));
    let endpoint = json!({"name": "sql", "port": 5432, "protocol": "tcp"});
    assert_eq!(edges[0]["endpoints"], json!([endpoint]));

    let asked = folder.run("graph --format json").done();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&asked.stdout).unwrap(), document);
    assert_eq!(folder.json("graph --format json"), (document, Some(0)));
}

#[test]
fn shuffled_specs_give_the_same_pictures() {
    for format in ["text", "dot", "json"] {
        let picture =
            |text| Folder::with(text).run(&format!("graph --format {format}")).done().stdout;
        assert_eq!(picture(SHOP), picture(SHUFFLED));
    }
}

#[test]
fn what_failed_is_left_out_and_the_rest_is_shown() {
    let text = SHOP.replace("[\"db.example.com\"", "[\"cb.example.com\"");
    let folder = Folder::with(&text);
    let ran = folder.run("graph --format dot").failed();
    assert!(ran.stdout.contains("\"db\"") && !ran.stdout.contains("\"page\""), "{}", ran.stdout);
    assert!(ran.stderr.contains("upstream-not-provided"), "{}", ran.stderr);
    let (document, code) = folder.json("graph");
    assert_eq!((&document["left"], code), (&json!(["page"]), Some(1)));
}

#[test]
fn formats_that_are_not_there_are_wrong_usage() {
    let folder = Folder::with(SHOP);
    for format in ["svg", "html", "png"] {
        let ran = folder.run(&format!("graph --format {format}")).wrong_usage();
        assert!(ran.stderr.contains("[possible values: text, dot, json]"), "{}", ran.stderr);
    }
    let ran = folder.run("graph --format dot --json").wrong_usage();
    assert!(ran.stderr.contains("--json prints JSON"), "{}", ran.stderr);
}
