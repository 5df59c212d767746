//! Compiles Deployix specs to Docker images, containers and networks.

pub mod compose;
pub mod dockerfile;
pub mod error;
pub mod shell;
pub mod yaml;

#[cfg(test)]
mod hostile;
