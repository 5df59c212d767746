//! systemd units: a typed tree and its only printer.
//!
//! The rules are those of systemd.syntax(7), systemd.service(5), "Command lines", and
//! systemd.unit(5), "Specifiers": strings in double quotes with C-style escapes, `%` doubled. Command
//! lines have the prefix `:`, with which `$` has no meaning.

use std::fmt::Write;

/// A unit file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFile {
    sections: Vec<Section>,
}

/// A section and its settings, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    name: &'static str,
    settings: Vec<(&'static str, Setting)>,
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A word of systemd's own, or several: `yes`, `notify`, `AF_INET AF_UNIX`. Printed as it is but
    /// for `%`, line ends and backslashes, which become harmless.
    Word(String),
    /// A text for people.
    Text(String),
    /// A command line, run without a shell.
    Command(Command),
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A list of paths or of pairs of paths `from:to`; each is one item, whatever is in it.
    Paths(Vec<String>),
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Whether it has all privileges and the machine's own file system, whatever the unit says.
    pub privileged: bool,
}

/// Tells that a command line cannot be written in a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no program.
    #[error("it is empty")]
    Empty,
    /// systemd gives the first character a meaning of its own.
    #[error("systemd gives a meaning to the first character of the program {0:?}")]
    Prefix(String),
    /// No argument of a program can have it.
    #[error("an argument has a null character")]
    Null,
}

impl Command {
    /// A command line with the unit's own privileges.
    ///
    /// # Errors
    /// Refuses what systemd would read as something else.
    pub fn new<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Result<Self, CommandError> {
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        let program = words.first().filter(|word| !word.is_empty()).ok_or(CommandError::Empty)?;
        if program.starts_with(['@', '-', ':', '+', '!', '|']) {
            return Err(CommandError::Prefix(program.chars().take(80).collect()));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(CommandError::Null);
        }
        Ok(Self { words, privileged: false })
    }

    /// The same with all privileges.
    #[must_use]
    pub fn privileged(self) -> Self {
        Self { privileged: true, ..self }
    }
}

impl UnitFile {
    /// A unit that runs a command at each boot, however long that takes, and has then started.
    #[must_use]
    pub fn at_boot(
        about: impl IntoIterator<Item = (&'static str, Setting)>,
        command: Command,
    ) -> Self {
        let service = [
            ("Type", Setting::word("oneshot")),
            ("RemainAfterExit", Setting::word("yes")),
            ("ExecStart", Setting::Command(command)),
            ("TimeoutStartSec", Setting::word("infinity")),
        ];
        Self::default()
            .section("Unit", about)
            .section("Service", service)
            .section("Install", [("WantedBy", Setting::word("multi-user.target"))])
    }

    /// Adds a section.
    #[must_use]
    pub fn section(
        mut self,
        name: &'static str,
        settings: impl IntoIterator<Item = (&'static str, Setting)>,
    ) -> Self {
        self.sections.push(Section { name, settings: settings.into_iter().collect() });
        self
    }

    /// Prints it.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = String::new();
        for (index, section) in self.sections.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "{gap}[{}]", section.name);
            for (key, value) in &section.settings {
                let _ = writeln!(text, "{key}={}", value.print());
            }
        }
        text
    }
}

impl Setting {
    /// A word of systemd's own.
    pub fn word(word: impl Into<String>) -> Self {
        Self::Word(word.into())
    }

    fn print(&self) -> String {
        match self {
            Self::Word(text) | Self::Text(text) => one_line(text),
            Self::Command(command) => {
                let prefix = if command.privileged { "+:" } else { ":" };
                let words: Vec<_> = command.words.iter().map(|word| item(word)).collect();
                format!("{prefix}{}", words.join(" "))
            }
            Self::Environment { name, value } => item(&format!("{name}={value}")),
            Self::Paths(paths) => paths.iter().map(|path| item(path)).collect::<Vec<_>>().join(" "),
        }
    }
}

/// Text that systemd takes as it is up to the end of the line: a line end would start another
/// setting, and a backslash at the end would join the next line.
fn one_line(text: &str) -> String {
    let harmless = |c: char| if c.is_control() || c == '\\' { ' ' } else { c };
    text.chars().map(harmless).collect::<String>().trim().replace('%', "%%")
}

/// One item of a list or word of a command line.
fn item(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-=:,+@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        let _ = match c {
            '"' => quoted.write_str("\\\""),
            '\\' => quoted.write_str("\\\\"),
            '%' => quoted.write_str("%%"),
            '\n' => quoted.write_str("\\n"),
            '\r' => quoted.write_str("\\r"),
            '\t' => quoted.write_str("\\t"),
            c if c.is_ascii_control() => write!(quoted, "\\x{:02x}", u32::from(c)),
            c => quoted.write_char(c),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_prints_in_order() {
        let command = Command::new(["/bin/x", "a b", "100%", "$HOME", ";", ""]).unwrap();
        let unit = UnitFile::default()
            .section("Unit", [("Description", Setting::Text("50%\n[Service]\\".into()))])
            .section(
                "Service",
                [
                    ("ExecStart", Setting::Command(command)),
                    (
                        "Environment",
                        Setting::Environment { name: "A".into(), value: "b\"c".into() },
                    ),
                    ("ReadWritePaths", Setting::Paths(vec!["/a b".into(), "/c".into()])),
                ],
            );
        let expected = "[Unit]\nDescription=50%% [Service]\n\n[Service]\n\
            ExecStart=:/bin/x \"a b\" \"100%%\" \"$HOME\" \";\" \"\"\n\
            Environment=\"A=b\\\"c\"\nReadWritePaths=\"/a b\" /c\n";
        assert_eq!(unit.print(), expected);
    }

    #[test]
    fn programs_that_systemd_would_misread_are_refused() {
        for bad in [vec![], vec![""], vec!["-rm"], vec!["@x"], vec!["x", "\0"]] {
            assert!(Command::new(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
