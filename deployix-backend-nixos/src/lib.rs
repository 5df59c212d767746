//! Compiles Deployix specs to NixOS modules and host configurations.
//!
//! [`NixosBackend`] makes each functionality a module ([`syntax`] is the tree it is printed from)
//! and each target a flake. Services run in a sandbox ([`NixosFunctionality`] loosens it), as users
//! whose ids are computed from their names; the firewall lets in exactly the declared consumers,
//! and secrets are read from the machine when a service starts.

mod assemble;
mod backend;
mod compile;
mod extension;
mod guest;
mod identity;
mod ipsec;
mod nftables;
mod shell;
pub mod syntax;
mod unit;

pub use backend::NixosBackend;
pub use extension::{NixosFunctionality, NixosTarget};
