//! What leaves the pure stages for people and their tools: [pictures](GraphDocument) of who needs
//! whom, and [compiled files](write_files) in a folder.

mod dot;
mod error;
mod files;
mod graph;
mod manifest;
mod table;

pub use error::{Obstacle, WriteError};
pub use files::{Leftovers, Written, write_files};
pub use graph::{EdgeEntry, EndpointEntry, GraphDocument, NodeEntry, NodeKind};
