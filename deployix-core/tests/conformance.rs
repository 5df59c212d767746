//! The reference backend holds the contract that it is the reference for.

use deployix_core::{backend::MemoryBackend, conformance::Kit};

#[tokio::test]
async fn the_memory_backend_conforms() {
    Kit::new(MemoryBackend::new()).run().await.unwrap();
}
