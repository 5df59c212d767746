//! What is run.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::OsStrExt,
    sync::Arc,
    time::Duration,
};

use zeroize::Zeroizing;

use crate::{TransportError, quote};

/// The most characters of a command that an error shows.
const SHOWN: usize = 120;

/// Where a line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

type Listener = Arc<dyn Fn(Channel, &str) + Send + Sync>;

/// A program with its words, and how to run it.
///
/// It runs in the folder and with the environment that the host gives: those of this process on
/// this machine, those of a login over SSH. The program is looked up on the `PATH` there. Other
/// variables are what the program `env` is for.
///
/// ```
/// # use std::time::Duration;
/// # use deployix_transport::Command;
/// let command = Command::new("systemctl")
///     .args(["start", "web.service"])
///     .limit(Duration::from_secs(90))
///     .on_line(|_, line| println!("{line}"));
/// assert_eq!(command.to_string(), "systemctl start web.service");
/// ```
#[derive(Clone)]
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) stdin: Option<Arc<Zeroizing<Vec<u8>>>>,
    pub(crate) limit: Option<Duration>,
    pub(crate) listener: Option<Listener>,
}

impl Command {
    /// A program without arguments, with nothing on its standard input and all the time it needs.
    pub fn new(program: impl Into<OsString>) -> Self {
        let program = program.into();
        Self { program, arguments: Vec::new(), stdin: None, limit: None, listener: None }
    }

    /// Adds an argument. Everybody on the host can see it.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same, run by another program: `sudo`, `nice`, `env`, with words of its own in front.
    #[must_use]
    pub fn run_by<A: Into<OsString>>(mut self, words: impl IntoIterator<Item = A>) -> Self {
        let mut words = words.into_iter().map(Into::into);
        let Some(program) = words.next() else { return self };
        let own = std::mem::replace(&mut self.program, program);
        self.arguments.splice(0..0, words.chain([own]));
        self
    }

    /// Gives what the program reads on its standard input, a secret too: it is shown nowhere, and
    /// wiped from memory in the end.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(Arc::new(Zeroizing::new(bytes.into())));
        self
    }

    /// Ends the command, and all that it started, when it takes longer: first by SIGTERM, by
    /// SIGKILL five seconds later. Time spent on connecting does not count.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Calls somebody for each line that the program writes, as soon as it is written: without its
    /// newline, and with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn on_line(mut self, listener: impl Fn(Channel, &str) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Refuses what no program can be given.
    pub(crate) fn check(&self, host: &str) -> Result<(), TransportError> {
        let why = match self.program.as_bytes() {
            _ if self.words().any(|word| word.as_bytes().contains(&0)) => {
                "no word can hold a NUL byte; give it on standard input"
            }
            b"" => "it names no program",
            // Shells would take it for an option.
            [b'-', ..] => "a program whose name begins with a hyphen needs a path, such as ./-x",
            _ => return Ok(()),
        };
        let what = format!("the command `{self}`");
        Err(TransportError::Unacceptable { host: host.to_owned(), what, why })
    }

    /// Tells whoever listens of a line; for transports.
    pub fn tell(&self, channel: Channel, line: &str) {
        if let Some(listener) = &self.listener {
            listener(channel, line);
        }
    }

    /// What the program reads on its standard input; for transports.
    pub fn input(&self) -> Option<&[u8]> {
        self.stdin.as_ref().map(|bytes| bytes.as_slice())
    }

    /// The program and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &OsStr> {
        [self.program.as_os_str()].into_iter().chain(self.arguments.iter().map(OsString::as_os_str))
    }
}

/// Its words as a shell reads them, cut off where they are many.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = quote::line(self.words());
        let line = String::from_utf8_lossy(&line);
        match line.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", &line[..end]),
            None => f.write_str(&line),
        }
    }
}

/// Says how much there is on standard input, and not what.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("stdin", &self.stdin.as_ref().map(|stdin| format!("{} bytes", stdin.len())))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_standard_input_is_not_shown() {
        let command = Command::new("psql").arg("a b").stdin("hunter2");
        assert_eq!(command.to_string(), "psql 'a b'");
        let shown = format!("{command:?} {command:#?}");
        assert!(shown.contains("7 bytes"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn another_program_runs_it_with_the_same_input() {
        let command = Command::new("install").arg("a b").stdin("x").run_by(["sudo", "-n"]);
        assert_eq!(command.to_string(), "sudo -n install 'a b'");
        assert_eq!(command.input(), Some(&b"x"[..]));
        assert_eq!(Command::new("ls").run_by([""; 0]).to_string(), "ls");
    }

    #[test]
    fn long_commands_are_shown_in_part() {
        let shown = Command::new("echo").arg("ä".repeat(10_000)).to_string();
        assert_eq!(shown.chars().count(), SHOWN + 1);
        assert!(shown.ends_with('…'));
    }
}
