//! Backends: what they are given, what they give, and the contract between.
//!
//! The core drives a backend: [`Backend::compile`] for each functionality, [`Backend::assemble`]
//! for each target, [`Backend::change`] for what differs from before; later `observe` and `apply`.
//! [`MemoryBackend`] is the reference.

mod artifact;
mod contract;
mod memory;
mod registry;
mod resource;
mod unit;

pub use artifact::{Artifact, CompileError, Remark, UserData, UserDataPart};
pub use contract::{
    Action, Backend, BackendError, Capabilities, Change, ErrorKind, ErrorStatus, Guest, Observed,
    Outcome, Scope, Step,
};
pub use memory::MemoryBackend;
pub use registry::Registry;
pub use resource::{Input, Inputs, OutputRef, Owner, Resource};
pub(crate) use unit::endpoints_of;
pub use unit::{Assembly, EndpointRef, Peer, PeerAddress, Site, Unit, Via};
