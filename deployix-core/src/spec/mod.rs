//! What people describe: services, functionalities, infrastructure and what ties them together.
//!
//! Traits at the edges, data in the middle: a recipe implements [`Service`], a type that knows its
//! name and upstreams implements [`Functionality`], and both lower to plain, ordered, serializable
//! data. Nothing here has been checked against anything else; that is for the stages.

mod builder;
mod deployment;
mod deployment_builder;
mod extension;
mod functionality;
mod infrastructure;
mod infrastructure_builder;
mod listener;
mod problems;
mod quantity;
mod recipe;
mod schedule;
mod service;
mod template;

pub use builder::ServiceBuilder;
pub use deployment::{Catalog, CertificateAuthority, DefaultBackend, Deployment};
pub use deployment_builder::DeploymentBuilder;
pub use extension::{
    Extension, ExtensionDecl, ExtensionError, ExtensionSite, Extensions, IfUnsupported,
};
pub use functionality::{Functionality, FunctionalitySpec, MachineWishes};
pub use infrastructure::{
    Capacity, Infrastructure, LoadBalancer, Location, Network, Target, TargetKind, Unreadable,
};
pub use infrastructure_builder::{InfrastructureBuilder, InfrastructurePart};
pub use ipnet::IpNet;
pub use listener::{Listener, Listeners};
pub use quantity::{Bytes, MilliCpus, QuantityError, Span};
pub use recipe::{Group, Lowered, RunPeriodically, Service, SpecError};
pub use schedule::{Schedule, ScheduleError};
pub use service::{
    Endpoint, EnvName, Field, FileBody, FileContent, FileSpec, Limits, Probe, Protocol, Readiness,
    ServicePatch, ServiceSpec, Shipped, Signal, Software, Stop, SystemNameError, UserName,
};
pub use template::{Part, Template, TemplateError};
