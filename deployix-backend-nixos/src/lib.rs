//! Compiles Deployix specs to NixOS modules and host configurations.
