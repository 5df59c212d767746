//! The repository's own example, from its files.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::path::Path;

use deployix_core::load::load;
use support::{compiled, file, requests, rules};

#[test]
fn the_hydra_example_compiles_for_ec2() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra/ops/deployment.toml");
    let loaded = load(&path);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics);
    let (compiled, found) = compiled(loaded.value.expect("a deployment"));
    assert!(!found.has_errors(), "{found}");
    let resources = compiled.resources();
    // Five services on one machine, and the page's second replica on another.
    let machines = requests(resources, "RunInstances");
    assert!(!machines.is_empty());
    for id in machines.keys() {
        let machine = id.trim_start_matches("ec2/target/").split('/').collect::<Vec<_>>();
        let text = file(&compiled, machine[0], &format!("user-data/{}-{}", machine[0], machine[2]));
        assert!(text.starts_with("#cloud-config\n"));
    }
    let open: Vec<_> =
        rules(resources).into_iter().filter(|rule| rule.contains("/ingress/0.0.0.0-0/")).collect();
    assert_eq!(open, ["load-balancer-hydra/ingress/0.0.0.0-0/tcp-443"]);
}
