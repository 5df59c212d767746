//! The backend holds to its contract.

use deployix_backend_docker::DockerBackend;
use deployix_core::conformance::Kit;

#[tokio::test]
async fn the_docker_backend_holds_to_the_contract() {
    Kit::new(DockerBackend::new()).run().await.unwrap();
}
