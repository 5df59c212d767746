//! Compiles Deployix specs to NixOS modules and host configurations.

mod identity;
mod nftables;
mod shell;
pub mod syntax;
mod unit;
