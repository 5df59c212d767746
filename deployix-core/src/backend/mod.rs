//! Backends: what they are given, what they give, and the contract between.
//!
//! The core drives a backend: [`Backend::compile`] for each functionality, [`Backend::assemble`]
//! for each target, [`Backend::change`] for what differs from before; later `observe` and `apply`.
//! [`MemoryBackend`] is the reference.

mod artifact;
mod awaited;
mod context;
mod contract;
mod guest;
mod input;
mod keeper;
mod memory;
mod registry;
mod resource;
mod unit;

pub use artifact::{Artifact, CompileError, Remark, Subject, UserData, UserDataPart};
pub use awaited::Awaited;
pub use context::{Files, NoFiles, NoSecrets, SecretError, SecretValue, Secrets, StepContext};
pub use contract::{
    Action, Backend, BackendError, Capabilities, Change, ErrorKind, ErrorStatus, Known, Observed,
    Outcome, Permissions, Scope, Step,
};
pub use guest::{Disk, FirstBoot, Guest};
pub use input::{FileRef, Input, Inputs, OutputRef};
pub use keeper::Keeper;
pub use memory::MemoryBackend;
pub use registry::Registry;
pub use resource::{Owner, Resource, Turn};
pub(crate) use unit::endpoints_of;
pub use unit::{Assembly, EndpointRef, LeftUnit, OwnedSite, Peer, PeerAddress, Site, Unit, Via};
