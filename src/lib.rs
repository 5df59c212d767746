//! Describes what runs apart from where it runs, and lets pluggable backends make it real.
//!
//! This crate is the thin front of the workspace: it re-exports the [`core`] and the backends that
//! its features `docker`, `ec2` and `nixos` turn on, and puts them into one [`registry`]. With
//! `docker-live`, `ec2-live` and `nixos-live` those backends make their resources real as well.
//!
//! ```
//! use deployix::core::{
//!     history::Heads,
//!     load,
//!     plan::{Only, compile, plan},
//!     topology::{Assignments, connect, place, resolve},
//! };
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hydra/ops/deployment.toml");
//! let registry = deployix::registry();
//! let deployment = load::load(file.as_ref()).complete()?.ok_or("nothing to deploy")?;
//! let compiled = resolve(deployment, &registry)
//!     .then(|resolved| place(resolved, &Assignments::new(), &registry))
//!     .then(|placed| connect(placed, &registry))
//!     .then(|connected| compile(connected, &registry, None))
//!     .complete()?;
//! let plan = plan(&compiled, &Heads::default(), &registry, &Only::All);
//! println!("{} steps", plan.steps.len());
//! # Ok(())
//! # }
//! ```

use core::backend::Registry;

#[cfg(feature = "docker")]
pub use deployix_backend_docker as docker;
#[cfg(feature = "ec2")]
pub use deployix_backend_ec2 as ec2;
#[cfg(feature = "nixos")]
pub use deployix_backend_nixos as nixos;
pub use deployix_core as core;

/// Every backend that the enabled features bring, with its extensions and what it can be a guest of.
///
/// Add your own with [`Registry::with`].
pub fn registry() -> Registry {
    let registry = Registry::new();
    #[cfg(feature = "docker")]
    let registry = registry
        .with(docker::DockerBackend::new())
        .with_guest(id("docker"), docker::DockerBackend::new());
    #[cfg(all(feature = "ec2", not(feature = "ec2-live")))]
    let ec2 = ec2::Ec2Backend::new();
    #[cfg(feature = "ec2-live")]
    let ec2 = ec2::Ec2Backend::live();
    #[cfg(feature = "ec2")]
    let registry = registry.with(ec2).with_guest(id("native"), ec2::PlainGuest::new());
    #[cfg(feature = "nixos")]
    let registry = registry
        .with(nixos::NixosBackend::new())
        .with_guest(id("nixos"), nixos::NixosBackend::new());
    registry
}

/// The id of a guest; all of them are literals that are valid.
#[cfg(any(feature = "docker", feature = "ec2", feature = "nixos"))]
#[expect(clippy::expect_used, reason = "literals that are valid")]
fn id(text: &str) -> core::BackendId {
    core::BackendId::new(text).expect("valid")
}
