//! The backend holds to its contract; `real_docker_live_conformance.rs` asks a host as well.

use deployix_backend_nixos::NixosBackend;
use deployix_core::conformance::Kit;

#[tokio::test]
async fn nixos_keeps_the_contract() {
    if let Err(failures) = Kit::new(NixosBackend::new()).without_provider().run().await {
        panic!("{failures}");
    }
}
