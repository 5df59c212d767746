//! Generated graphs as Graphviz reads them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use deployix_core::{
    BackendId, Fqdn, Name,
    backend::{MemoryBackend, Registry},
    output::GraphDocument,
    spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec, Target},
    topology::{Assignments, Connected, connect, place, resolve},
};
use serde_json::Value;

/// A functionality and a host outside of the same name, on a target whose name is a word of DOT.
fn connected() -> Connected {
    let service = |port| ServiceSpec::builder(["node"]).endpoint("edge", port).build().unwrap();
    let node = FunctionalitySpec::new("node", service(80)).unwrap().fqdn("graph").unwrap();
    let graph = FunctionalitySpec::new("graph", service(81)).unwrap();
    let graph = graph.upstream("graph").unwrap().upstream("node").unwrap();
    let catalog = Catalog::from_iter([node.shared(), graph.shared()]);
    let mut deployment = Deployment::new(Name::new("digraph").unwrap(), vec![catalog]);
    deployment.external_hosts.insert(Fqdn::new("node").unwrap());
    let name = Name::new("strict").unwrap();
    let target = Target::machine(name.clone(), BackendId::new("memory").unwrap());
    deployment.infrastructure.targets.insert(name, target);
    for spec in ["node", "graph"] {
        deployment.place.insert(Name::new(spec).unwrap(), Name::new("strict").unwrap());
    }
    let registry = Registry::new().with(MemoryBackend::new());
    resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .complete()
        .unwrap()
}

#[test]
fn graphviz_reads_the_nodes_edges_and_clusters_that_were_meant() {
    let connected = connected();
    let mut dot = Command::new("dot")
        .arg("-Tdot_json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`dot` is missing: run scripts/test, which installs it");
    let text = GraphDocument::of(&connected).to_dot();
    dot.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = dot.wait_with_output().unwrap();
    assert!(output.status.success());
    let graph: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(graph["name"], "digraph");
    let names = |objects: &Value| -> Vec<String> {
        let objects = objects.as_array().unwrap();
        let mut names: Vec<_> =
            objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&graph["objects"]), ["cluster_strict", "external node", "graph", "node"]);
    let objects = graph["objects"].as_array().unwrap();
    let named = |at: &Value| {
        let at = at.as_u64().unwrap();
        objects.iter().find(|object| object["_gvid"] == at).unwrap()["name"].as_str().unwrap()
    };
    let mut edges: Vec<_> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (named(&edge["tail"]), named(&edge["head"]), edge["label"].as_str().unwrap()))
        .collect();
    edges.sort_unstable();
    let loopback = "loopback\\nedge 80/tcp";
    assert_eq!(edges, [("graph", "external node", "external"), ("graph", "node", loopback)]);
    let cluster = objects.iter().find(|object| object["name"] == "cluster_strict").unwrap();
    assert_eq!(cluster["nodes"].as_array().unwrap().len(), 2);
}
