//! The pure stages from specs to connected functionalities, each with a type of its own that only
//! it can make: [`Deployment`](crate::spec::Deployment) → [`Resolved`] → [`Placed`] →
//! [`Connected`].

pub(crate) mod balancer;
mod connect;
mod graph;
mod one_target;
mod place;
mod policy;
mod resolve;
mod service_check;

pub(crate) use connect::Left;
pub use connect::{Connected, Connection, connect};
pub use graph::DependencyGraph;
pub use one_target::on_one_target;
pub use place::{Assignment, Assignments, Placed, place};
pub(crate) use resolve::hidden;
pub use resolve::{Resolved, resolve};
