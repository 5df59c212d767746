//! The model, the graph, the stages and the contracts of Deployix.

pub mod backend;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod diagnostic;
pub mod digest;
pub mod execute;
pub mod history;
pub mod load;
pub mod name;
pub mod ordered;
pub mod output;
pub mod plan;
pub mod secret;
pub mod source;
pub mod spec;
pub mod suggest;
pub mod topology;

pub use digest::Digest;
pub use name::{
    AbsolutePath, BackendId, Fqdn, HistoryId, LookupKey, Name, Namespace, RelativePath, ResourceId,
    SecretName,
};
pub use ordered::OrderedMap;
