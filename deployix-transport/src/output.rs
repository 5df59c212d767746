//! What comes of running a command.

use std::{fmt, os::unix::process::ExitStatusExt, process::ExitStatus};

use crate::command::{Channel, Command};

/// Lines of standard error that an error repeats.
const LAST_WORDS: usize = 20;

/// How a program ended, as shells tell it: its exit code, or 128 + n where signal n ended it.
///
/// A program that exits with a code above 128 by itself looks as if a signal had ended it; nothing
/// that SSH tells keeps the two apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(i32);

impl Status {
    /// A status of `$?`.
    pub const fn new(code: i32) -> Self {
        Self(code)
    }

    /// Whether all went well.
    pub fn success(self) -> bool {
        self.0 == 0
    }

    /// The exit code, or 128 + n for signal n.
    pub fn code(self) -> i32 {
        self.0
    }

    /// The signal that ended it.
    pub fn signal(self) -> Option<i32> {
        (129..=192).contains(&self.0).then(|| self.0 - 128)
    }
}

impl From<ExitStatus> for Status {
    fn from(status: ExitStatus) -> Self {
        Self(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.signal() {
            Some(signal) => write!(f, "status {} (signal {signal})", self.0),
            None => write!(f, "status {}", self.0),
        }
    }
}

/// What a command that ran to its end has left.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// What it wrote on standard output.
    pub stdout: Vec<u8>,
    /// What it wrote on standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// An output, for transports and for those who stand in for one in tests.
    pub fn new(status: Status, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> Self {
        Self { status, stdout: stdout.into(), stderr: stderr.into() }
    }

    /// The last 20 lines of standard error.
    pub fn last_words(&self) -> String {
        last_words(&self.stderr)
    }
}

/// Says how much was written, and not what: a program may have been asked for a secret.
impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("status", &self.status)
            .field("stdout", &format_args!("{} bytes", self.stdout.len()))
            .field("stderr", &format_args!("{} bytes", self.stderr.len()))
            .finish()
    }
}

/// The last lines of a text that are not empty.
pub(crate) fn last_words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.collect();
    lines[lines.len().saturating_sub(LAST_WORDS)..].join("\n")
}

/// What a command has written so far; its listener hears of each line.
pub(crate) struct Written<'c> {
    command: &'c Command,
    channel: Channel,
    pub(crate) bytes: Vec<u8>,
}

impl<'c> Written<'c> {
    pub(crate) fn new(command: &'c Command, channel: Channel) -> Self {
        Self { command, channel, bytes: Vec::new() }
    }

    /// Takes a line, with its newline where it has one.
    pub(crate) fn line(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        // Nobody has to listen, and much may be written.
        if self.command.listener.is_some() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.command.tell(self.channel, &String::from_utf8_lossy(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_told_as_shells_tell_them() {
        assert_eq!(Status::from(ExitStatus::from_raw(9)), Status::new(137));
        assert_eq!(Status::from(ExitStatus::from_raw(3 << 8)), Status::new(3));
        assert_eq!(Status::new(137).to_string(), "status 137 (signal 9)");
        assert_eq!(Status::new(255).signal(), None);
        assert!(Status::new(0).success() && !Status::new(1).success());
    }

    #[test]
    fn the_last_words_are_twenty_lines_at_most() {
        let text = (1..=30).map(|n| format!("line {n}\n\n")).collect::<String>();
        let words = last_words(text.as_bytes());
        assert_eq!(words.lines().count(), 20);
        assert!(words.starts_with("line 11\n") && words.ends_with("line 30"), "{words}");
        assert_eq!(last_words(b"\xff\n"), "\u{fffd}");
    }
}
