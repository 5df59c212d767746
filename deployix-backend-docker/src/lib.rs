//! Compiles Deployix specs to Docker images, containers and networks.

pub mod compose;
pub mod dockerfile;
pub mod error;
pub mod extension;
mod firewall;
mod probe;
mod script;
pub mod shell;
mod subnet;
pub mod yaml;

#[cfg(test)]
mod hostile;
