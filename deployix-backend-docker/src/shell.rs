//! POSIX shell text: a small tree and the one printer that quotes.
//!
//! Generated scripts run where only `/bin/sh` is certain (dash, bash, busybox), so the tree knows
//! no more than the POSIX language, and every word that holds data is quoted here and nowhere else.

use std::fmt::{self, Write as _};

/// A part of a [`Word`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stands for itself, whatever it holds.
    Text(String),
    /// A variable's value, unsplit: `"$name"`.
    Variable(&'static str),
    /// What a command prints, unsplit and without its trailing line breaks: `"$(command)"`.
    Output(Vec<Word>),
}

/// One argument: its parts joined without a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(pub Vec<Part>);

impl Word {
    /// A word of text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self(vec![Part::Text(text.into())])
    }

    /// A word that is a variable's value.
    pub fn variable(name: &'static str) -> Self {
        Self(vec![Part::Variable(name)])
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// Prints the word so that a POSIX shell reads back exactly its parts.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut empty = true;
        for part in &self.0 {
            match part {
                Part::Text(text) if text.is_empty() => continue,
                Part::Text(text) => quote(f, text)?,
                Part::Variable(name) => write!(f, "\"${{{name}}}\"")?,
                Part::Output(command) => write!(f, "\"$({})\"", join(command))?,
            }
            empty = false;
        }
        if empty {
            f.write_str("''")?;
        }
        Ok(())
    }
}

/// Prints words as one simple command, a space between them.
pub fn join(words: &[Word]) -> String {
    let mut out = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{word}");
    }
    out
}

/// Prints plain argument vectors as one simple command.
pub fn command<S: AsRef<str>>(argv: &[S]) -> String {
    join(&argv.iter().map(|argument| Word::text(argument.as_ref())).collect::<Vec<_>>())
}

/// Bare where every shell reads the text as itself, else in single quotes, where only the single
/// quote is special.
fn quote(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,+@%".contains(&byte);
    if text.bytes().all(bare) {
        return f.write_str(text);
    }
    for (index, run) in text.split('\'').enumerate() {
        if index > 0 {
            f.write_str("\\'")?;
        }
        if !run.is_empty() {
            write!(f, "'{run}'")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What `sh` hands to a program for the printed words.
    fn read_back(shell: &[&str], printed: &str) -> Vec<u8> {
        let script = format!("printf '%s\\0' {printed}\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let output = Command::new(shell[0]).args(&shell[1..]).arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn expected(words: &[String]) -> Vec<u8> {
        words.iter().flat_map(|word| word.bytes().chain([0])).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn words_survive_dash_and_bash(words in crate::hostile::texts(1..40)) {
            let printed = command(&words);
            for shell in [["sh"].as_slice(), &["bash", "--posix"]] {
                prop_assert_eq!(read_back(shell, &printed), expected(&words));
            }
        }
    }

    #[test]
    fn ordinary_words_are_not_quoted() {
        assert_eq!(
            command(&["git", "daemon", "--base-path=/srv"]),
            "git daemon '--base-path=/srv'"
        );
        assert_eq!(command(&["a b", "", "it's"]), r"'a b' '' 'it'\''s'");
    }

    #[test]
    fn the_output_of_a_command_is_never_split() {
        let word = Word(vec![
            Part::Text("p w=".into()),
            Part::Output(vec!["echo".into(), Word::text("a  b*")]),
        ]);
        assert_eq!(read_back(&["sh"], &word.to_string()), b"p w=a  b*\0");
    }
}
