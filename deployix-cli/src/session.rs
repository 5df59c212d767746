//! One run of the program: where its output goes and how it ends.

use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
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
    /// It was not said in the right way what to do; nothing was done.
    Usage,
    /// It was interrupted.
    Interrupted,
}

impl Exit {
    /// Done, unless one of the findings is an error.
    pub(crate) fn of(findings: &Diagnostics) -> Self {
        if findings.has_errors() { Self::Failed } else { Self::Done }
    }
}

/// What somebody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// There is no terminal.
    Nobody,
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

    /// Tells people something on the way.
    pub(crate) fn say(&self, text: &str) {
        let _ = write(anstream::stderr().lock(), text);
    }

    /// Asks a question, where there is somebody to answer.
    pub(crate) fn ask(&self, question: &str) -> Answer {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Answer::Nobody;
        }
        self.say(&format!("{question} [y/N] "));
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer) {
            Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Answer::Yes,
            _ => Answer::No,
        }
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
            Exit::Usage => ExitCode::from(2),
            Exit::Changes => ExitCode::from(3),
            Exit::Interrupted => ExitCode::from(130),
        }
    }
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
