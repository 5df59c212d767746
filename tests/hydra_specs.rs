#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The spec files of `examples/hydra` load without a problem.

use std::path::Path;

use deployix_core::load::load;

#[test]
fn every_deployment_of_the_example_loads_without_a_diagnostic() {
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops");
    for file in ["deployment.toml", "deployment-docker.toml", "deployment-nixos.toml"] {
        let loaded = load(&ops.join(file));
        assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
        let deployment = loaded.value.unwrap();
        let functionalities =
            deployment.catalogs.iter().map(|catalog| catalog.functionalities.len());
        assert_eq!(functionalities.sum::<usize>(), 4, "{file}");
    }
}
