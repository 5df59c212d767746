//! Compiles Deployix specs to Docker images, containers and networks.
//!
//! [`DockerBackend`] gives each functionality a build context (`<functionality>/Dockerfile`), and
//! each target a `compose.yaml` that ties them together and needs nothing of Deployix to run.
//!
//! # What a container may do
//! Its root file system is read-only but for `/tmp`, `/run` and its `state`, it has no
//! capabilities, can gain none, and does not run as root. Each declared upstream is a network of
//! its own for the two ends. Each functionality has a network namespace with a packet filter that
//! lets connections out to its upstreams' endpoints alone, and in to its own endpoints from its
//! declared consumers alone; neither the host nor the world can be reached unless an external host
//! is declared.
//!
//! # What Docker has none of
//! Sockets opened before their program (`on-demand`), programs that say themselves that they are
//! ready, calendars and IPsec are refused with a remedy. Hosts outside cannot be told by name: who
//! reaches one can reach all.
//!
//! # Making it real
//! With the feature `live` the backend talks to the engine of its target: `address` names it as
//! `local` (what `DOCKER_HOST` says, or this machine's), `unix://PATH`, `tcp://HOST:PORT`,
//! `ssh://USER@HOST`, or as a bare host that is reached over SSH. Each replica of a functionality is
//! one resource, rolled out as a whole; see ARCHITECTURE.md for how.
//!
//! An engine that was killed starts containers in no particular order, and one that shares the
//! network namespace of another which is not up yet stays down
//! ([moby/moby#50326](https://github.com/moby/moby/issues/50326)): `docker compose up --detach`
//! starts it, and so does a step about it. It fails closed: no program runs without its packet filter.

mod assemble;
mod backend;
mod compile;
pub mod compose;
pub mod dockerfile;
pub mod error;
pub mod extension;
mod firewall;
mod guest;
mod image;
mod instance;
#[cfg(feature = "live")]
mod live;
mod namespace;
mod naming;
mod networks;
mod probe;
mod program;
mod publish;
mod script;
pub mod shell;
mod subnet;
pub mod yaml;

#[cfg(test)]
mod hostile;

pub use backend::DockerBackend;
