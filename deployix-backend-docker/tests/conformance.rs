//! The backend holds to its contract; `real_docker_live_conformance.rs` asks an engine as well.

use deployix_backend_docker::DockerBackend;
use deployix_core::conformance::Kit;

#[tokio::test]
async fn the_docker_backend_holds_to_the_contract() {
    Kit::new(DockerBackend::new()).without_provider().run().await.unwrap();
}
