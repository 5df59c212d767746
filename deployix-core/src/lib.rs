//! The model, the graph, the stages and the contracts of Deployix.

pub mod backend;
pub mod diagnostic;
pub mod digest;
pub mod name;
pub mod source;
pub mod spec;
pub mod suggest;

pub use digest::Digest;
pub use name::{
    AbsolutePath, BackendId, Fqdn, LookupKey, Name, Namespace, RelativePath, ResourceId, SecretName,
};
