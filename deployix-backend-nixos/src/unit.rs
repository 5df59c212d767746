//! systemd's own syntax: how words and values reach a unit exactly as they were meant.
//!
//! A command line is read in three steps (systemd.service(5), "Command lines"): it is split into
//! words with C-like escapes in quotes, `%` specifiers are expanded in each word, and `$` variables
//! are expanded when it runs. All three are undone here, in this one place. What systemd cannot
//! carry at all is refused.

use deployix_core::AbsolutePath;

use crate::syntax::{Expr, Part};

/// A word of a command line or list: text that is meant literally, and store paths known when Nix
/// evaluates.
pub(crate) type Word = Vec<Part>;

/// The longest argument or `NAME=value` that Linux passes to a program, without its final NUL:
/// execve(2), `MAX_ARG_STRLEN`.
const LONGEST_ARGUMENT: usize = 131_071;

/// The longest line that systemd reads, 1 MiB (`LONG_LINE_MAX`), less some room for the setting's
/// own name.
const LONGEST_LINE: usize = (1 << 20) - 256;

/// Text that cannot pass through a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UnitError {
    /// A code point that systemd takes for invalid UTF-8, and with it the whole line.
    #[error("the character U+{0:04X} cannot pass through a systemd unit; put the text into a file")]
    Character(u32),
    /// More than Linux passes as one argument or variable.
    #[error(
        "{0} bytes are more than the {LONGEST_ARGUMENT} that Linux passes as one argument \
         or variable; put the text into a file"
    )]
    Argument(usize),
    /// More than systemd reads as one line.
    #[error(
        "the command line has {0} bytes, more than systemd reads as one line; put the text into a \
         file"
    )]
    Line(usize),
    /// The end of a path where systemd drops it or goes on with the next line.
    #[error(
        "on NixOS the path of a file outside of /etc cannot end in a space or a backslash; choose \
         another path"
    )]
    Path,
}

/// Prints a command line as the value of `ExecStart` and the like; the first word is the program.
pub(crate) fn command(words: &[Word]) -> Result<Expr, UnitError> {
    let dollar =
        words.iter().flatten().any(|part| matches!(part, Part::Text(text) if text.contains('$')));
    // With `:` before it nothing is done about `$` anywhere in the line; doubling them would leave
    // the doubles in the program's path, where systemd expands nothing.
    let prefix = if dollar { ":" } else { "" };
    let mut parts: Vec<Part> = vec![prefix.into()];
    let mut length = 0;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            parts.push(" ".into());
        }
        for part in self::word(word)? {
            if let Part::Text(text) = &part {
                length += text.len();
            }
            parts.push(part);
        }
    }
    line(length)?;
    Ok(Expr::concat(parts))
}

/// Refuses a command line of more bytes than systemd reads.
pub(crate) fn line(length: usize) -> Result<(), UnitError> {
    if length > LONGEST_LINE { Err(UnitError::Line(length)) } else { Ok(()) }
}

/// Prints words as the value of a setting that takes a list, such as `ReadWritePaths`.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<String, UnitError> {
    let words: Result<Vec<String>, UnitError> = words.into_iter().map(text_word).collect();
    Ok(words?.join(" "))
}

/// Prints a path as the value of `AssertPathIsSymbolicLink` and its kin, which know specifiers and
/// no escapes (systemd.unit(5), "Conditions and Asserts").
pub(crate) fn assertion(path: &AbsolutePath) -> Result<String, UnitError> {
    let path = path.as_str();
    check(path)?;
    if path.ends_with([' ', '\\']) {
        return Err(UnitError::Path);
    }
    Ok(path.replace('%', "%%"))
}

/// Prints the value of a variable for `systemd.services.<name>.environment`.
///
/// NixOS writes it as `Environment=` and the JSON string of `NAME=value` (nixpkgs,
/// `nixos/lib/systemd-lib.nix`), whose escapes systemd reads; it leaves `%` to be expanded as a
/// specifier. `$` is not expanded there.
pub(crate) fn environment(name: &str, value: &str) -> Result<String, UnitError> {
    check(value)?;
    let length = name.len() + 1 + value.len();
    if length > LONGEST_ARGUMENT {
        return Err(UnitError::Argument(length));
    }
    Ok(value.replace('%', "%%"))
}

/// Prints one word that is only text.
pub(crate) fn text_word(text: &str) -> Result<String, UnitError> {
    let parts = word(&[text.into()])?;
    Ok(parts
        .into_iter()
        .filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Value(_) => None,
        })
        .collect())
}

/// Prints one word, in quotes unless it is plain.
fn word(parts: &[Part]) -> Result<Vec<Part>, UnitError> {
    let texts = || {
        parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value(_) => None,
        })
    };
    let length: usize = texts().map(str::len).sum();
    if length > LONGEST_ARGUMENT {
        return Err(UnitError::Argument(length));
    }
    let plain = !parts.is_empty()
        && texts().all(|text| text.chars().all(is_plain))
        && (length > 0 || texts().count() < parts.len());
    let quote = if plain { "" } else { "\"" };
    let mut word: Vec<Part> = vec![quote.into()];
    for part in parts {
        word.push(match part {
            Part::Text(text) => escape(text)?.into(),
            Part::Value(value) => Part::Value(value.clone()),
        });
    }
    word.push(quote.into());
    Ok(word)
}

/// Characters that mean nothing to systemd anywhere in a word. `-@:+!` mean something before a
/// program's path, but there they come after its first slash.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '_' | '.' | ',' | '/' | ':' | '=' | '+' | '@' | '%' | '$')
}

/// Escapes text as in quotes.
pub(crate) fn escape(text: &str) -> Result<String, UnitError> {
    use std::fmt::Write as _;
    check(text)?;
    let mut escaped = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '%' => escaped.push_str("%%"),
            // Writing to a string cannot fail.
            c if c.is_ascii_control() => drop(write!(escaped, "\\x{:02x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

/// Refuses the code points that systemd's `unichar_is_valid` refuses: NUL and Unicode's
/// noncharacters.
fn check(text: &str) -> Result<(), UnitError> {
    let invalid =
        |code: u32| code == 0 || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE;
    match text.chars().map(u32::from).find(|code| invalid(*code)) {
        Some(code) => Err(UnitError::Character(code)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> String {
        let words: Vec<Word> = words.iter().map(|word| vec![(*word).into()]).collect();
        match command(&words).expect("passes") {
            Expr::Str(parts) => parts
                .into_iter()
                .map(|part| match part {
                    Part::Text(text) => text,
                    Part::Value(_) => unreachable!("only text was given"),
                })
                .collect(),
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        assert_eq!(line(&["/bin/x", "--port=3000", "a,b"]), "/bin/x --port=3000 a,b");
    }

    #[test]
    fn what_systemd_would_split_expand_or_end_a_command_at_is_taken_literally() {
        assert_eq!(
            line(&["/bin/x", "", "a b", ";", "%n", "\"\\", "l\ni", "'", "\u{1}"]),
            r#"/bin/x "" "a b" ";" %%n "\"\\" "l\ni" "'" "\x01""#
        );
    }

    #[test]
    fn dollars_turn_expansion_off_for_the_line() {
        assert_eq!(line(&["/bin/x", "${HOME}", "$"]), r#":/bin/x "${HOME}" $"#);
    }

    #[test]
    fn a_store_path_alone_needs_no_quotes() {
        let program = vec![Part::Value(Expr::var("pkgs")), "/bin/x".into()];
        let printed = crate::syntax::print(
            &command(&[program, vec![Expr::var("pkgs").into()]]).expect("passes"),
        );
        assert_eq!(printed.expect("prints"), "\"${pkgs}/bin/x ${pkgs}\"\n");
    }

    #[test]
    fn an_asserted_path_has_specifiers_and_no_escapes() {
        let printed = |path: &str| assertion(&AbsolutePath::new(path).expect("a path"));
        assert_eq!(printed(r#"/a b/"c"\d/100%"#).as_deref(), Ok(r#"/a b/"c"\d/100%%"#));
        for bad in ["/a ", "/a\\"] {
            assert_eq!(printed(bad), Err(UnitError::Path), "{bad:?}");
        }
    }

    #[test]
    fn what_cannot_pass_is_refused() {
        assert_eq!(environment("A", "\u{FDD0}"), Err(UnitError::Character(0xFDD0)));
        assert_eq!(environment("A", "\u{1FFFF}"), Err(UnitError::Character(0x1_FFFF)));
        assert!(environment("A", &"x".repeat(LONGEST_ARGUMENT - 2)).is_ok());
        assert_eq!(
            environment("A", &"x".repeat(LONGEST_ARGUMENT - 1)),
            Err(UnitError::Argument(LONGEST_ARGUMENT + 1))
        );
        let long = "x".repeat(100_000);
        let words: Vec<Word> = (0..11).map(|_| vec![long.as_str().into()]).collect();
        assert_eq!(command(&words), Err(UnitError::Line(1_100_000)));
    }
}
