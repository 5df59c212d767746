#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The spec files of `examples/hydra` compile for all three backends without a diagnostic.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::path::Path;

use deployix::core::plan::Compiled;

fn compiled(file: &str) -> Compiled {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops");
    support::compiled(&ops.join(file))
}

/// What runs where, one line each.
fn placement(compiled: &Compiled) -> Vec<String> {
    let assignments = compiled.connected().assignments();
    let line = |(name, at): (_, &deployix::core::topology::Assignment)| {
        format!("{name} {} {:?}", at.target, at.machines)
    };
    assignments.iter().map(line).collect()
}

/// Who reaches whom over what, one line each.
fn connections(compiled: &Compiled) -> Vec<String> {
    let connections = compiled.connected().connections();
    connections.map(|edge| format!("{} -> {} {}", edge.from, edge.to, edge.via)).collect()
}

#[test]
fn on_ec2_the_default_backend_makes_machines_of_five_services() {
    let compiled = compiled("deployment.toml");
    assert_eq!(
        placement(&compiled),
        [
            "git ec2-singapore [0]",
            "hydra-db ec2-singapore [0]",
            "hydra-evaluator ec2-singapore [0]",
            "hydra-web ec2-singapore [0, 1]",
            "load-balancer-hydra ec2-singapore []",
        ]
    );
    assert_eq!(
        connections(&compiled),
        [
            "hydra-evaluator -> git loopback",
            "hydra-evaluator -> hydra-db loopback",
            "hydra-web -> hydra-db private",
            "load-balancer-hydra -> hydra-web private",
        ]
    );
    let instances = compiled.resources().values().filter(|resource| {
        serde_json::to_string(resource.inputs()).unwrap().contains("\"m3.medium\"")
    });
    assert_eq!(instances.count(), 2);
}

#[test]
fn on_docker_everything_runs_on_one_engine() {
    let compiled = compiled("deployment-docker.toml");
    assert_eq!(
        connections(&compiled),
        [
            "hydra-evaluator -> git loopback",
            "hydra-evaluator -> hydra-db loopback",
            "hydra-web -> hydra-db loopback",
            "load-balancer-hydra -> hydra-web loopback",
        ]
    );
}

#[test]
fn on_nixos_the_machines_of_one_rack_reach_each_other_privately() {
    let compiled = compiled("deployment-nixos.toml");
    assert_eq!(
        placement(&compiled),
        [
            "git vault [0]",
            "hydra-db vault [0]",
            "hydra-evaluator workshop [0]",
            "hydra-web front [0, 1]",
            "load-balancer-hydra gate [0]",
        ]
    );
    assert_eq!(
        connections(&compiled),
        [
            "hydra-evaluator -> git private",
            "hydra-evaluator -> hydra-db private",
            "hydra-web -> hydra-db private",
            "load-balancer-hydra -> hydra-web private",
        ]
    );
}

#[test]
fn no_secret_is_in_what_is_compiled() {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops");
    let password = std::fs::read(ops.join("secrets/hydra-db")).unwrap();
    let holds = |bytes: &[u8]| bytes.windows(password.len()).any(|part| part == password);
    for file in ["deployment.toml", "deployment-docker.toml", "deployment-nixos.toml"] {
        let compiled = compiled(file);
        assert!(compiled.files().len() > 1, "{file}");
        for ((target, path), content) in compiled.files() {
            assert!(!holds(&content.bytes), "{target}/{path}");
        }
        for (id, resource) in compiled.resources() {
            assert!(!holds(&serde_json::to_vec(resource.inputs()).unwrap()), "{id}");
        }
    }
}
