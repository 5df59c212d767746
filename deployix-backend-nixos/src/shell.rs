//! Shell text from typed words; nothing in a word is ever read as shell syntax.
//!
//! Scripts run under the bash of `pkgs.writeShellScript`.

use deployix_core::{RelativePath, SecretName};

use crate::syntax::{Expr, Part};

/// A word of a shell command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Word(Vec<Part>);

impl Word {
    /// Text that is meant literally.
    pub(crate) fn text(text: &str) -> Self {
        Self::default().then_text(text)
    }

    /// A value known when Nix evaluates, a store path.
    pub(crate) fn value(value: Expr) -> Self {
        Self::default().then_value(value)
    }

    /// Adds literal text.
    pub(crate) fn then_text(mut self, text: &str) -> Self {
        self.0.push(quoted(text).into());
        self
    }

    /// Adds a store path, which has no character that means anything to a shell.
    pub(crate) fn then_value(mut self, value: Expr) -> Self {
        self.0.push(value.into());
        self
    }

    /// Adds a secret's value: what systemd put into the unit's credentials, less newlines at the
    /// end.
    pub(crate) fn then_secret(mut self, name: &SecretName) -> Self {
        let path = format!("\"$(< \"$CREDENTIALS_DIRECTORY/{name}\")\"");
        self.0.push(path.into());
        self
    }
}

/// In single quotes, where only the single quote itself is special, unless it is plain.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Ends a script that waits for a program which is there no more.
///
/// Of the service that a script runs for, systemd tells the main process (systemd.exec(5),
/// "Environment variables set or propagated by the service manager"). Signal 0 asks for it: under
/// `ProtectProc` the process may be hidden in `/proc`, and one that may not be signalled is there all
/// the same.
const UNLESS_ENDED: &str = "case $(LC_ALL=C; kill -0 \"${MAINPID-$$}\" 2>&1) in
    *'No such process'*) echo 'the program has ended' >&2; exit 1 ;;
esac
";

/// A script, line by line.
#[derive(Clone, Debug)]
pub(crate) struct Script(Vec<Part>);

impl Script {
    /// A script that ends at the first command that fails.
    pub(crate) fn new() -> Self {
        Self(vec!["set -eu\n".into()])
    }

    /// Adds fixed shell text of this crate, as it is.
    pub(crate) fn line(mut self, text: &'static str) -> Self {
        self.0.extend([text.into(), "\n".into()]);
        self
    }

    /// Adds a command.
    pub(crate) fn command(mut self, words: impl IntoIterator<Item = Word>) -> Self {
        for (index, word) in words.into_iter().enumerate() {
            if index > 0 {
                self.0.push(" ".into());
            }
            self.0.extend(word.0);
        }
        self.0.push("\n".into());
        self
    }

    /// Adds `export NAME=word`, in two steps so that a failure to read a secret is a failure of the
    /// script.
    pub(crate) fn export(mut self, name: &str, value: Word) -> Self {
        self.0.push(format!("{name}=").into());
        self.0.extend(value.0);
        self.0.push(format!("\nexport {name}\n").into());
        self
    }

    /// Adds the copying of the file that a variable names to a path below `$out`, for builders.
    pub(crate) fn install(mut self, mode: &'static str, variable: &str, to: &RelativePath) -> Self {
        let to = quoted(to.as_str());
        self.0.push(format!("install -D -m {mode} \"${variable}\" \"$out\"/{to}\n").into());
        self
    }

    /// Adds the repetition of a command, five times a second, until it succeeds or the service's
    /// program has ended.
    pub(crate) fn until(mut self, words: impl IntoIterator<Item = Word>, sleep: Word) -> Self {
        self.0.push("until ".into());
        self.command(words).wait(sleep)
    }

    /// Adds attempts to connect to a port of this machine, five times a second, until one succeeds
    /// or the service's program has ended.
    pub(crate) fn until_connected(mut self, port: u16, sleep: Word) -> Self {
        // A file name of bash, which opens a connection for it.
        self.0.push(format!("until (exec 3<> /dev/tcp/127.0.0.1/{port}) 2> /dev/null\n").into());
        self.wait(sleep)
    }

    /// Adds what a loop does between two attempts.
    fn wait(mut self, sleep: Word) -> Self {
        self.0.push("do\n".into());
        self.0.push(UNLESS_ENDED.into());
        self.0.extend(sleep.0);
        self.0.push(" 0.2\ndone\n".into());
        self
    }

    /// Adds the writing of a word to a file, through a variable for the same reason.
    pub(crate) fn write(mut self, content: Word, path: &Word) -> Self {
        self.0.push("content=".into());
        self.0.extend(content.0);
        self.0.push("\nprintf %s \"$content\" > ".into());
        self.0.extend(path.0.clone());
        self.0.push("\n".into());
        self
    }

    /// The program that runs it: `pkgs.writeShellScript name text`.
    pub(crate) fn program(self, name: &str) -> Expr {
        Expr::var("pkgs").select(["writeShellScript"]).apply(name).apply(self.text())
    }

    /// Its text.
    pub(crate) fn text(self) -> Expr {
        Expr::Str(self.0)
    }
}
