//! Compiles Deployix specs to Amazon EC2 networks, machines and load balancers, and makes them real.
//!
//! Without features it compiles and plans. With `engine` it carries steps out through a client that it
//! is given, and with `live` on AWS itself, through AWS's own SDK.

mod assemble;
mod backend;
mod change;
pub mod cidr;
mod compile;
#[cfg(feature = "engine")]
pub mod engine;
pub mod extension;
mod guest;
#[cfg(feature = "live")]
pub mod live;
mod naming;
mod network;
pub mod request;
pub mod resource;
pub mod staging;
pub mod user_data;

pub use backend::Ec2Backend;
use deployix_core::{
    backend::{CompileError, Remark},
    spec::{Extension, Extensions},
};
pub use guest::PlainGuest;

/// The id of this backend, and the namespace of its extensions.
pub const ID: &str = "ec2";

/// The settings of this backend on something; those that nobody wrote have their defaults.
fn settings<E: Extension + Default>(extensions: &Extensions) -> Result<E, CompileError> {
    match extensions.get::<E>() {
        Ok(settings) => Ok(settings.unwrap_or_default()),
        Err(error) => {
            let keys = ["extensions", E::NAMESPACE].into_iter().chain(error.keys());
            Err(Remark::new(keys, error.reason()).into())
        }
    }
}
