//! What can go wrong between here and a command's end.

use std::{io, time::Duration};

use crate::output::Status;

/// Why a command did not run, did not run to its end, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// An address that leads nowhere.
    #[error(
        "{address:?} is not the address of a host: {why}; write local, \
             HOST, USER@HOST or ssh://USER@HOST:PORT"
    )]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A command or a path that no host can take.
    #[error("{what} cannot be sent to {host}: {why}")]
    Unacceptable {
        /// The host it was meant for.
        host: String,
        /// The command or path.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The client that leads to hosts does not run on this machine.
    #[error("cannot run OpenSSH's client, `ssh`, which leads to {host}: is it installed?")]
    Client {
        /// The host it should lead to.
        host: String,
        /// Why it does not run.
        source: io::Error,
    },
    /// The host does not answer.
    #[error("{host} cannot be reached: {why}; try `ssh {host}` by hand")]
    Unreachable {
        /// The host.
        host: String,
        /// What the client says.
        why: String,
        /// Whether it may be reached later without anybody changing anything.
        temporary: bool,
    },
    /// The host's key is in no list of known hosts.
    #[error(
        "the key of {host} is not known: {why}; compare its fingerprint with \
            the host's own and connect once by hand: `ssh {host}`"
    )]
    HostKeyUnknown {
        /// The host.
        host: String,
        /// What the client says.
        why: String,
    },
    /// The host has another key than it had.
    #[error(
        "the key of {host} is not the one it had: {why}; either somebody is in \
            between, or the host was made anew: then remove its old key with `ssh-keygen -R`"
    )]
    HostKeyChanged {
        /// The host.
        host: String,
        /// What the client says.
        why: String,
    },
    /// The host lets nobody in with these keys.
    #[error(
        "{host} refuses to let you in: {why}; add your public key to its \
            ~/.ssh/authorized_keys, or load the right one with `ssh-add`"
    )]
    AuthenticationRefused {
        /// The host.
        host: String,
        /// What the client says.
        why: String,
    },
    /// The host lets the user in, and then runs nothing.
    #[error(
        "{host} runs no commands: {why}; its login shell \
            has to be a shell, and `sh` on its PATH"
    )]
    NoShell {
        /// The host.
        host: String,
        /// What it says.
        why: String,
    },
    /// The host takes no more commands over one connection.
    #[error(
        "{host} takes no more commands at once over one connection; \
            raise MaxSessions in its sshd_config to 10, its default"
    )]
    Busy {
        /// The host.
        host: String,
    },
    /// The program is not there.
    #[error("{program:?} is not on {host}: install it there, or give its whole path")]
    NotFound {
        /// The host.
        host: String,
        /// The program.
        program: String,
    },
    /// The program is there and cannot be run.
    #[error(
        "{program:?} cannot be run on {host}: it is not a program, \
            or not one that this user may run"
    )]
    NotRunnable {
        /// The host.
        host: String,
        /// The program.
        program: String,
    },
    /// The command took longer than it may.
    #[error(
        "`{command}` on {host} took longer than {limit:?} and {}{}",
        if *.ended { "was ended" } else {
            "should have ended, but the host could not be told so: it may still run"
        },
        said(.last_words)
    )]
    TimedOut {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// How long it may take.
        limit: Duration,
        /// Whether it has ended; where not, the host may still end it, some seconds later.
        ended: bool,
        /// The last lines of its standard error.
        last_words: String,
    },
    /// The connection was lost while the command ran.
    #[error(
        "the connection to {host} was lost while `{command}` ran: the command may or may not have \
             ended; look at the host before it runs again{}",
        said(.last_words)
    )]
    Lost {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// The last lines of its standard error.
        last_words: String,
    },
    /// The command ended with another status than 0.
    #[error("`{command}` on {host} failed with {status}{}", said(.last_words))]
    Failed {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// How it ended.
        status: Status,
        /// The last lines of its standard error.
        last_words: String,
    },
    /// This machine cannot run what it has to.
    #[error("`{command}` for {host} cannot be run from this machine")]
    Here {
        /// The host.
        host: String,
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
}

impl TransportError {
    /// Whether the same command may go well later without anybody changing anything. Where the
    /// connection was lost, the command may run a second time then.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { temporary, .. } => *temporary,
            Self::Busy { .. } | Self::Lost { .. } => true,
            _ => false,
        }
    }
}

/// What a program said, to be put behind an error.
fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(":\n{words}") }
}
