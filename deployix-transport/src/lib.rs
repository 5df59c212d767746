//! Runs commands and puts files on hosts: on this machine, or on others over SSH.
//!
//! [`connect`] gives the [`Transport`] to a host, on which [`run`](Transport::run) runs a
//! [`Command`] to its end. [`succeed`] wants it to go well, [`put`] writes files. What it is all
//! for is the caller's to know.
//!
//! * A command is a list of words, and every word reaches the program exactly as given. No shell
//!   reads them, unless the program is one.
//! * A host over SSH is reached by the user's own client, with its agent, its configuration and
//!   its known hosts. Nothing is ever asked: a host whose key is not known is refused.
//! * One connection leads to a host, for any number of commands at once. It is opened by the first
//!   of them, and opened again once it was lost.
//! * A secret goes on standard input, or into a file by [`put`]; words are seen by everybody on the
//!   host. What goes on standard input is in no error and in no debug output.
//!
//! ```
//! use deployix_transport::{Command, connect, succeed};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), deployix_transport::TransportError> {
//! let host = connect("local")?;
//! let counted = succeed(&*host, &Command::new("wc").arg("-c").stdin("four")).await?;
//! assert_eq!(String::from_utf8_lossy(&counted).trim(), "4");
//! # Ok(())
//! # }
//! ```

mod command;
mod error;
mod local;
mod output;
mod process;
mod put;
mod quote;
mod ssh;
mod word;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

pub use command::{Channel, Command};
pub use error::TransportError;
pub use local::Local;
pub use output::{Output, Status};
pub use put::{Entry, put};
pub use ssh::Ssh;

/// A way to one host.
///
/// Any number of commands may run at once. Dropping the future of one ends it: at once on this
/// machine, and on another host as soon as the connection can tell it.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// The host as people know it: `root@rack1`, `this machine`.
    fn host(&self) -> &str;

    /// Runs a command to its end: until the program has ended and nothing that it started holds
    /// its standard output or error any more.
    ///
    /// # Errors
    /// Where the command did not run, or not to its end. A status other than 0 is none, see
    /// [`succeed`].
    async fn run(&self, command: &Command) -> Result<Output, TransportError>;

    /// Drops what is connected, so that the next command comes over a connection of its own.
    /// Commands that still run keep the old one until they end.
    ///
    /// # Errors
    /// None of the transports here has any; one that has to tell somebody may.
    async fn reconnect(&self) -> Result<(), TransportError>;
}

/// The transport to an address: `local` is this machine, all else is reached over SSH, as
/// [`Ssh::new`] reads it. Nothing is connected until the first command.
///
/// # Errors
/// An address that is none.
pub fn connect(address: &str) -> Result<Arc<dyn Transport>, TransportError> {
    Ok(if address == "local" { Arc::new(Local) } else { Arc::new(Ssh::new(address)?) })
}

/// Runs a command that has to end with status 0, and gives its standard output.
///
/// # Errors
/// What [`Transport::run`] returns, and [`TransportError::Failed`] for any other status.
pub async fn succeed(
    transport: &dyn Transport,
    command: &Command,
) -> Result<Vec<u8>, TransportError> {
    let output = transport.run(command).await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(TransportError::Failed {
        host: transport.host().to_owned(),
        command: command.to_string(),
        status: output.status,
        last_words: output.last_words(),
    })
}
