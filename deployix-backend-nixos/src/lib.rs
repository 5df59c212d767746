//! Compiles Deployix specs to NixOS modules and host configurations.

pub mod syntax;
