//! The backend holds to its contract on a real host.

#[path = "support/container.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod container;
#[path = "support/deploy.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod deploy;
#[path = "support/host.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod host;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_backend_nixos::{NixosBackend, NixosTarget};
use deployix_core::conformance::Kit;
use host::{Host, NIXPKGS};

#[tokio::test(flavor = "multi_thread")]
async fn the_nixos_backend_holds_to_the_contract_on_a_host() {
    let host = Host::start("contract");
    host.install();
    let backend = NixosBackend::new().reaching_hosts_by(deploy::reaching(&host));
    let address = host.destination();
    let kit = Kit::new(backend).prepare(move |deployment| {
        for target in deployment.infrastructure.targets.values_mut() {
            target.address = Some(address.clone());
            let nixpkgs = NIXPKGS.to_owned();
            let settings = NixosTarget { nixpkgs, ..NixosTarget::default() };
            target.extensions.insert(&settings).expect("JSON");
        }
    });
    kit.run().await.expect("it holds to the contract");
}
