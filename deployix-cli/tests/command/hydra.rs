//! The hydra example through the command, for all three backends.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Folder, codes};

fn ops(file: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("../examples/hydra/ops").join(file).display().to_string()
}

fn vias(graph: &Value) -> Vec<String> {
    let edges = graph["edges"].as_array().unwrap();
    let text = |edge: &Value, key: &str| edge[key].as_str().unwrap().to_owned();
    edges
        .iter()
        .map(|e| format!("{} {} {}", text(e, "from"), text(e, "via"), text(e, "to")))
        .collect()
}

#[test]
fn each_deployment_of_hydra_goes_through_every_command() {
    let folder = Folder::new();
    for file in ["deployment.toml", "deployment-docker.toml", "deployment-nixos.toml"] {
        let file = ops(file);
        for command in ["check", "graph", "compile --out out", "plan"] {
            let (document, code) = folder.json(&format!("{command} {file}"));
            let codes = codes(&document).into_iter().filter(|code| *code != "noted");
            assert_eq!((codes.collect(), code), (Vec::<&str>::new(), Some(0)), "{command} {file}");
        }
    }
}

#[test]
fn the_same_specs_talk_over_what_their_places_have_in_common() {
    let folder = Folder::new();
    let graph = |file: &str| folder.json(&format!("graph {}", ops(file))).0;
    let docker = vias(&graph("deployment-docker.toml"));
    assert!(docker.iter().all(|edge| edge.contains(" loopback ")), "{docker:?}");
    let nixos = vias(&graph("deployment-nixos.toml"));
    assert_eq!(docker.len(), nixos.len());
    assert!(nixos.contains(&"hydra-evaluator private hydra-db".to_owned()), "{nixos:?}");
}

#[test]
fn one_backend_takes_all_of_it_and_says_what_it_has_less_of() {
    let folder = Folder::new();
    for (backend, expected) in [("docker", vec![]), ("nixos", vec!["replicas-reduced"])] {
        let file = ops("deployment.toml");
        let (document, code) =
            folder.json(&format!("compile {file} --out out --backend {backend}"));
        assert_eq!(code, Some(0));
        let codes: Vec<_> = codes(&document).into_iter().filter(|code| *code != "noted").collect();
        assert_eq!(codes, expected, "{backend}");
        let files = document["files"].as_object().unwrap();
        assert!(files.keys().all(|path| path.starts_with(&format!("{backend}/"))));
    }
}
