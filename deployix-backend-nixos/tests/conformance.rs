//! The contract between the core and its backends.

use deployix_backend_nixos::NixosBackend;
use deployix_core::conformance::Kit;

#[tokio::test]
async fn nixos_keeps_the_contract() {
    if let Err(failures) = Kit::new(NixosBackend::new()).run().await {
        panic!("{failures}");
    }
}
