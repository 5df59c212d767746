//! One run of the program: where its output goes and how it ends.

use std::{
    cell::Cell,
    io::{self, Write},
    process::ExitCode,
};

use deployix::core::diagnostic::Diagnostics;
use serde::Serialize;

use crate::findings;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it was done.
    Done,
    /// Something failed or is invalid; the rest was done.
    Failed,
    /// There are changes, and whoever asked wants to know by the exit code.
    Changes,
}

impl Exit {
    /// Done, unless one of the findings is an error.
    pub(crate) fn of(findings: &Diagnostics) -> Self {
        if findings.has_errors() { Self::Failed } else { Self::Done }
    }
}

/// One run of the program.
///
/// Results go to standard output, and what was found on the way to standard error. Who stops
/// reading either has read enough: that is no failure.
#[derive(Debug)]
pub(crate) struct Session {
    /// Whether programs read the results.
    pub(crate) json: bool,
    unwritten: Cell<bool>,
}

impl Session {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, unwritten: Cell::new(false) }
    }

    /// Tells people what was found.
    pub(crate) fn tell(&self, findings: &Diagnostics) {
        // With standard error gone there is nobody left to tell that it is.
        let _ = write(anstream::stderr().lock(), &findings::render(findings));
    }

    /// Prints a result for people; its colours go where they are not wanted.
    pub(crate) fn print(&self, text: &str) {
        self.written(write(anstream::stdout().lock(), text));
    }

    /// Prints a result as it is, for programs.
    pub(crate) fn print_raw(&self, text: &str) {
        self.written(write(io::stdout().lock(), text));
    }

    /// Prints the result for programs.
    pub(crate) fn print_json<T: Serialize>(&self, document: &T) {
        let text = serde_json::to_string_pretty(document).map_err(io::Error::from);
        self.written(text.and_then(|text| write(io::stdout().lock(), &(text + "\n"))));
    }

    fn written(&self, result: io::Result<()>) {
        if let Err(error) = result {
            let message = format!("error: cannot write the result: {error}\n");
            let _ = write(anstream::stderr().lock(), &message);
            self.unwritten.set(true);
        }
    }

    /// The program's exit code.
    pub(crate) fn finish(&self, exit: Exit) -> ExitCode {
        match exit {
            _ if self.unwritten.get() => ExitCode::FAILURE,
            Exit::Done => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::FAILURE,
            Exit::Changes => ExitCode::from(3),
        }
    }
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
