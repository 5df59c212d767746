//! A connected deployment as a document: JSON, DOT and text.

use deployix_core::{Fqdn, output::GraphDocument, spec::Deployment, topology::Connected};
use serde_json::{Value, json};

use crate::support::{With, connected, deployment, functionality};

fn specs() -> Deployment {
    let mut web = functionality("web", 80, &["db"]);
    web.upstream_hosts.push(Fqdn::new("api.example.net").unwrap());
    let broken = functionality("broken", 1, &["nobody"]);
    let mut specs = deployment(vec![web, functionality("db", 5432, &[]), broken])
        .machine("one", Some("net"))
        .machine("two", Some("net"))
        .placed("web", "one")
        .placed("db", "two");
    specs.external_hosts.insert(Fqdn::new("api.example.net").unwrap());
    specs
}

fn small() -> Connected {
    connected(specs()).value
}

#[test]
fn the_json_names_nodes_and_edges() {
    let connected = small();
    let json = serde_json::to_value(GraphDocument::of(&connected)).unwrap();
    let of = |value: &Value, keys: &[&str]| -> Value {
        keys.iter().map(|key| ((*key).to_owned(), value[key].clone())).collect()
    };
    let nodes = json["nodes"].as_array().unwrap();
    let nodes: Vec<_> =
        nodes.iter().map(|node| of(node, &["name", "fqdn", "target", "kind"])).collect();
    let functionality = "functionality";
    assert_eq!(
        Value::from(nodes),
        json!([
            {"name": "db", "fqdn": "db.example.com", "target": "two", "kind": functionality},
            {"name": "web", "fqdn": "web.example.com", "target": "one", "kind": functionality},
            {"name": "api.example.net", "fqdn": "api.example.net", "target": null, "kind": "external"},
        ])
    );
    assert_eq!(
        json["edges"],
        json!([
            {"from": "web", "to": "db", "via": "private", "fqdn": "db.example.com",
             "endpoints": [{"name": "main", "port": 5432, "protocol": "tcp"}]},
            {"from": "web", "to": "api.example.net", "via": "external", "fqdn": "api.example.net",
             "endpoints": []},
        ])
    );
    assert_eq!(json["left"], json!(["broken"]));
}

#[test]
fn the_text_shows_each_target_with_what_runs_there_and_whom_it_reaches() {
    let connected = small();
    let text = GraphDocument::of(&connected).to_text();
    let expected = "\
test: 2 functionalities on 2 targets

one (memory)
  web                  web.example.com            main 80/tcp
    → db               db.example.com   private   main 5432/tcp
    → api.example.net  api.example.net  external

two (memory)
  db  db.example.com    main 5432/tcp

left out: broken
";
    assert_eq!(text, expected);
}

#[test]
fn the_dot_has_a_cluster_for_each_target_and_a_label_on_each_edge() {
    let connected = small();
    let dot = GraphDocument::of(&connected).to_dot();
    for line in [
        "digraph \"test\" {",
        "    subgraph \"cluster_one\" {",
        "        label=\"one\\nmemory\";",
        "        \"web\" [label=\"web\\nweb.example.com\"];",
        "    \"external api.example.net\" [label=\"api.example.net\", style=dashed];",
        "    \"web\" -> \"db\" [label=\"private\\nmain 5432/tcp\"];",
        "    \"web\" -> \"external api.example.net\" [label=\"external\"];",
    ] {
        assert!(dot.lines().any(|found| found == line), "{line}\n{dot}");
    }
}
