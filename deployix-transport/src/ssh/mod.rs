//! Another machine, through OpenSSH's client.
//!
//! The client is run by itself rather than through the crate `openssh`: there its process outlives
//! a connection that nobody waits for any more, the user's own configuration is read for every
//! command, and a status of 255 is taken for a lost connection.

mod address;
mod connection;
mod refusal;
mod remote;
mod running;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::time::timeout;

use self::{
    address::Address,
    connection::Connection,
    remote::{End, Heard},
    running::Running,
};
use crate::{
    Transport, TransportError,
    command::{Channel, Command},
    output::{Output, Written, last_words},
    process, word,
};

/// A host that is reached over SSH.
///
/// The user's own client, `ssh`, leads there, with its configuration, agent and known hosts; it
/// never asks anything. All commands share one connection, eight at once and the others in turn. A
/// connection that is lost is noticed within 15 seconds, and the next command makes a new one.
///
/// At the other end OpenSSH's server is expected, any login shell that is one, and `sh`. What
/// `ssh` itself cannot do there is an error; what the command does is its [`Output`].
pub struct Ssh {
    address: Address,
    host: String,
    config: Option<PathBuf>,
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl Ssh {
    /// A host at `HOST`, `USER@HOST` or `ssh://USER@HOST:PORT`; HOST may be one of the user's
    /// `~/.ssh/config`.
    ///
    /// # Errors
    /// An address that is none.
    ///
    /// ```
    /// # use deployix_transport::{Ssh, Transport};
    /// assert_eq!(Ssh::new("ssh://root@rack1")?.host(), "root@rack1");
    /// assert!(Ssh::new("-oProxyCommand=reboot").is_err());
    /// # Ok::<_, deployix_transport::TransportError>(())
    /// ```
    pub fn new(address: &str) -> Result<Self, TransportError> {
        let address = Address::parse(address)?;
        Ok(Self {
            host: address.to_string(),
            address,
            config: None,
            connection: Default::default(),
        })
    }

    /// Reads another file than `~/.ssh/config` and the system's own (`ssh -F`).
    #[must_use]
    pub fn with_config(mut self, path: impl AsRef<Path>) -> Self {
        self.config = Some(path.as_ref().to_owned());
        self
    }

    /// The connection, which is made where there is none that works.
    async fn connection(&self) -> Result<Arc<Connection>, TransportError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot
            && connection.is_alive().await
        {
            return Ok(connection.clone());
        }
        *slot = None;
        let connection = Connection::open(&self.address, self.config.as_deref()).await?;
        Ok(slot.insert(Arc::new(connection)).clone())
    }

    /// Runs a command over a connection, within its time.
    async fn run_over(
        &self,
        connection: &Arc<Connection>,
        command: &Command,
    ) -> Result<Output, TransportError> {
        let host = || self.host.clone();
        let word = word::unguessable();
        let Some(line) = remote::run(command, &word) else {
            let what = format!("the command `{command}`");
            let why = "its words are longer than 128 KiB; give them on standard input";
            return Err(TransportError::Unacceptable { host: host(), what, why });
        };
        let mut client = connection.client(&line);
        let mut stdout = Written::new(command, Channel::Stdout);
        let mut stderr = Written::new(command, Channel::Stderr);
        let (mut before_stdout, mut heard) = (Heard::new(&word), Heard::new(&word));
        let running = Running::new(connection.clone());
        let work = process::run(
            &mut client,
            command.stdin.clone(),
            None,
            |line| before_stdout.line(line).into_iter().for_each(|line| stdout.line(line)),
            |line| {
                heard.line(line).into_iter().for_each(|line| stderr.line(line));
                heard.group.into_iter().for_each(|group| running.runs_in(group));
            },
        );
        let ended = match command.limit {
            None => Some(work.await),
            Some(limit) => timeout(limit, work).await.ok(),
        };
        let Some(ended) = ended else {
            let ended = running.end().await;
            return Err(TransportError::TimedOut {
                host: host(),
                command: command.to_string(),
                limit: command.limit.unwrap_or_default(),
                ended,
                last_words: last_words(&stderr.bytes),
            });
        };
        let program = || command.program.to_string_lossy().into_owned();
        running.is_over();
        match (ended, heard.end) {
            (Err(source), _) => Err(TransportError::Client { host: host(), source }),
            (Ok(_), Some(End::Itself(status))) => {
                Ok(Output { status, stdout: stdout.bytes, stderr: stderr.bytes })
            }
            (Ok(_), Some(End::NotFound)) => {
                Err(TransportError::NotFound { host: host(), program: program() })
            }
            (Ok(_), Some(End::NotRunnable)) => {
                Err(TransportError::NotRunnable { host: host(), program: program() })
            }
            (Ok(_), None) => {
                connection.suspect();
                Err(self.lost(command, &heard.before, &stderr.bytes))
            }
        }
    }

    /// What it means that a command's end was not heard of.
    fn lost(&self, command: &Command, before: &[u8], stderr: &[u8]) -> TransportError {
        let refused = String::from_utf8_lossy(before);
        if refused.contains("Session open refused") || refused.contains("session request failed") {
            return TransportError::Busy { host: self.host.clone() };
        }
        TransportError::Lost {
            host: self.host.clone(),
            command: command.to_string(),
            last_words: last_words(stderr),
        }
    }
}

#[async_trait]
impl Transport for Ssh {
    fn host(&self) -> &str {
        &self.host
    }

    async fn run(&self, command: &Command) -> Result<Output, TransportError> {
        command.check(&self.host)?;
        loop {
            let connection = self.connection().await?;
            // It is never closed.
            let _turn = connection.commands.acquire().await;
            // It may have been lost while others had their turn.
            if connection.is_open() {
                return self.run_over(&connection, command).await;
            }
        }
    }

    async fn reconnect(&self) -> Result<(), TransportError> {
        *self.connection.lock().await = None;
        Ok(())
    }
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ssh").field("host", &self.host).field("config", &self.config).finish()
    }
}
