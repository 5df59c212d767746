//! The backend holds to its contract on a real engine.
//!
//! This test needs a Docker engine and the image `debian:bookworm-slim`; `scripts/test` brings both.

use deployix_backend_docker::{DockerBackend, extension::DockerTarget};
use deployix_core::conformance::Kit;

#[tokio::test]
async fn the_docker_backend_holds_to_the_contract_on_an_engine() {
    let kit = Kit::new(DockerBackend::new()).prepare(|deployment| {
        let own = format!("deployix-test-kit-{}", std::process::id());
        deployment.name = deployix_core::Name::new(own).unwrap();
        let subnets = "10.214.64.0/20".parse().unwrap();
        let settings = DockerTarget { subnets, ..DockerTarget::default() };
        for target in deployment.infrastructure.targets.values_mut() {
            target.extensions.insert(&settings).unwrap();
        }
    });
    kit.run().await.unwrap();
}
