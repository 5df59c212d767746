//! A command at the other end, and what is heard of it.
//!
//! SSH tells of a lost connection, of a program that a signal ended and of one that ended with
//! status 255 all in the same way. So `sh` runs the command there (`run.sh`) and says on standard
//! error, behind a word that nobody else knows, when it begins and how it ended.

use std::{ffi::OsString, time::Duration};

use super::connection::shell;
use crate::{command::Command, output::Status};

/// Longer lines cannot be passed to a shell: `MAX_ARG_STRLEN` of execve(2), 32 pages, less some
/// for what other shells than `sh` put around it.
const LONGEST: usize = 128 * 1024 - 1024;

/// How much later than here the host itself ends a command that takes too long. It is only needed
/// where the connection is gone by then.
const LATER: Duration = Duration::from_secs(10);

const RUN: &str = include_str!("run.sh");

/// Ends a process group, and sees to it that it ends.
const END: &str = r#"kill -TERM "-$0"; n=0
while [ $n -lt 50 ] && kill -0 "-$0"; do sleep 0.1; n=$((n + 1)); done
kill -KILL "-$0"; exit 0"#;

/// The line for the login shell that runs a command; none where it is too long.
pub(super) fn run(command: &Command, word: &str) -> Option<OsString> {
    let script: Vec<_> = RUN.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let script = script.join("\n");
    let limit = command.limit.map(|limit| (limit + LATER).as_secs().to_string());
    let before = [word.as_ref(), limit.as_deref().unwrap_or_default().as_ref()];
    let line = shell(&script, before.into_iter().chain(command.words()));
    (line.len() <= LONGEST).then_some(line)
}

/// The line that ends a process group.
pub(super) fn end(group: u32) -> OsString {
    shell(END, [group.to_string().as_ref()])
}

/// What is heard on one channel: what comes before the command is the login shell's or the
/// client's, what the script says is taken out, and the rest is the command's.
#[derive(Debug)]
pub(super) struct Heard {
    word: Vec<u8>,
    begun: bool,
    /// What was said before the command.
    pub(super) before: Vec<u8>,
    /// The process group of the command.
    pub(super) group: Option<u32>,
    /// The command's end.
    pub(super) end: Option<End>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Itself(Status),
    NotFound,
    NotRunnable,
}

impl Heard {
    pub(super) fn new(word: &str) -> Self {
        let word = word.as_bytes().to_vec();
        Self { word, begun: false, before: Vec::new(), group: None, end: None }
    }

    /// Takes a line; what of it is the command's is returned.
    pub(super) fn line<'l>(&mut self, line: &'l [u8]) -> Option<&'l [u8]> {
        let at = line.windows(self.word.len()).position(|part| part == self.word);
        let Some(at) = at else {
            if self.begun {
                return Some(line);
            }
            self.before.extend_from_slice(line);
            return None;
        };
        let told = String::from_utf8_lossy(&line[at + self.word.len()..]);
        let mut told = told.split_whitespace();
        let (what, number) = (told.next(), told.next().and_then(|number| number.parse().ok()));
        match (what, number) {
            (Some("group"), Some(number)) => self.group = u32::try_from(number).ok(),
            (Some("unstarted"), Some(127)) => self.end = Some(End::NotFound),
            (Some("unstarted"), _) => self.end = Some(End::NotRunnable),
            (Some("exit"), Some(code)) if self.end.is_none() => {
                self.end = Some(End::Itself(Status::new(code)));
            }
            _ => {}
        }
        let own = (self.begun && at > 0).then_some(&line[..at]);
        self.begun = true;
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_says_is_taken_out() {
        let mut heard = Heard::new("w0rd");
        assert_eq!(heard.line(b"Welcome!\n"), None);
        assert_eq!(heard.line(b"w0rd group 17\n"), None);
        assert_eq!(heard.line(b"own\n"), Some(&b"own\n"[..]));
        assert_eq!(heard.line(b"no newlinew0rd exit 3\n"), Some(&b"no newline"[..]));
        assert_eq!((&*heard.before, heard.group), (&b"Welcome!\n"[..], Some(17)));
        assert_eq!(heard.end, Some(End::Itself(Status::new(3))));
    }

    #[test]
    fn a_program_that_is_not_there_is_told_from_one_that_says_so() {
        let mut heard = Heard::new("w0rd");
        heard.line(b"w0rd group 17\n");
        heard.line(b"w0rd unstarted 127\n");
        heard.line(b"w0rd exit 127\n");
        assert_eq!(heard.end, Some(End::NotFound));
    }

    #[test]
    fn lines_that_no_shell_takes_are_not_made() {
        assert!(run(&Command::new("echo").arg("a".repeat(100_000)), "w").is_some());
        assert!(run(&Command::new("echo").arg("a".repeat(140_000)), "w").is_none());
    }
}
