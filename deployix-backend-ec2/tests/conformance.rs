//! The core's own kit, which every backend runs.

use deployix_backend_ec2::Ec2Backend;
use deployix_core::conformance::Kit;

#[tokio::test]
async fn the_backend_keeps_its_contract() {
    if let Err(failures) = Kit::new(Ec2Backend::new()).run().await {
        panic!("{failures}");
    }
}
