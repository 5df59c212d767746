//! Commands on a machine, and what it means where one fails.

use std::error::Error as _;

use deployix_core::backend::{BackendError, ErrorKind};
use deployix_transport::{Command, Output, Transport, TransportError};
use tokio::sync::mpsc::unbounded_channel;

use super::host::Host;

/// A script of this backend with its arguments.
pub(super) fn script(text: &'static str, name: &str, arguments: &[&str]) -> Command {
    Command::new("sh").args(["-c", text, name]).args(arguments.iter().copied())
}

/// Runs a command, and tells each line that it writes to standard error.
pub(super) async fn followed(
    transport: &dyn Transport,
    command: Command,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Output, TransportError> {
    let (sender, mut lines) = unbounded_channel::<String>();
    let command = command.on_line(move |channel, line| {
        if channel == deployix_transport::Channel::Stderr {
            // Nobody listens only once the command is over.
            let _ = sender.send(line.to_owned());
        }
    });
    let mut running = transport.run(&command);
    let output = loop {
        tokio::select! {
            biased;
            Some(line) = lines.recv() => tell(&line),
            output = &mut running => break output,
        }
    };
    while let Ok(line) = lines.try_recv() {
        tell(&line);
    }
    output
}

/// Runs a command that has to go well, and gives what it wrote to standard output.
pub(super) async fn run(
    transport: &dyn Transport,
    operation: &'static str,
    command: Command,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Vec<u8>, BackendError> {
    let output = followed(transport, command, tell).await;
    let output = output.map_err(|cause| error(operation, cause))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(failed(operation, transport.host(), &output))
    }
}

/// What it means that files were not put on a machine.
pub(super) fn not_put(host: &Host, cause: TransportError) -> BackendError {
    match cause {
        TransportError::Failed { last_words, status, .. } => {
            failed("put files", host.transport.host(), &Output::new(status, "", last_words))
        }
        cause => error("put files", cause),
    }
}

/// What it means that a command did not run, or not to its end.
pub(super) fn error(operation: &'static str, error: TransportError) -> BackendError {
    let kind = match &error {
        TransportError::Address { .. } | TransportError::Unacceptable { .. } => ErrorKind::Invalid,
        TransportError::AuthenticationRefused { .. }
        | TransportError::HostKeyUnknown { .. }
        | TransportError::HostKeyChanged { .. } => ErrorKind::Denied,
        TransportError::NotFound { .. } => ErrorKind::NotFound,
        TransportError::Failed { .. } => ErrorKind::Unexpected,
        _ => ErrorKind::Unavailable,
    };
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }
    if error.is_temporary() {
        BackendError::temporary(kind, operation, message)
    } else {
        BackendError::permanent(kind, operation, message)
    }
}

/// What it means that a script ended badly: what it said last.
pub(super) fn failed(operation: &'static str, host: &str, output: &Output) -> BackendError {
    let said = output.last_words();
    let full = ["No space left on device", "Disk quota exceeded", "disk is full"];
    let (kind, advice) = if full.iter().any(|part| said.contains(part)) {
        let advice = "; make room there, such as by `nix-collect-garbage --delete-older-than 30d`";
        (ErrorKind::Unavailable, advice)
    } else {
        (ErrorKind::Invalid, "")
    };
    let message = format!("{host}: {} ({}){advice}", said, output.status);
    BackendError::permanent(kind, operation, message)
}
