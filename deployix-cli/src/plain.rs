//! Text from elsewhere, made harmless for terminals.
//!
//! File names and contents are other people's. Shown as they are, control characters in them could
//! move the cursor, change what stands on the screen, or make a line read other than it is.

use std::{borrow::Cow, fmt::Write};

/// The text in one line, with every character that does something instead of showing something
/// written as its escape.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            // Writing to a string cannot fail.
            let _ = write!(plain, "{}", character.escape_default());
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

/// The same for a line of a file, in which characters keep their columns: each such character
/// becomes another one. Tabs stay.
pub(crate) fn same_columns(line: &str) -> Cow<'_, str> {
    let bad = |character: char| acts(character) && character != '\t';
    if !line.contains(bad) {
        return Cow::Borrowed(line);
    }
    Cow::Owned(line.chars().map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

/// Whether a character does something: it controls the terminal, ends a line, or changes the
/// direction of writing (Unicode Standard Annex 9, section 2; "Trojan Source", CVE-2021-42574).
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_the_rest_stays() {
        let hostile = "a\u{1b}[31mred\u{9b}2J\u{202e}\r\nü → \"x\"\u{7f}";
        let expected = r#"a\u{1b}[31mred\u{9b}2J\u{202e}\r\nü → "x"\u{7f}"#;
        assert_eq!(plain(hostile), expected);
        assert!(matches!(plain("ü → x"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_keeps_its_columns() {
        let line = "\ta = \"\u{1b}]0;x\u{7}\u{202e}\"";
        let shown = same_columns(line);
        assert_eq!(shown, "\ta = \"\u{fffd}]0;x\u{fffd}\u{fffd}\"");
        assert_eq!(shown.chars().count(), line.chars().count());
    }
}
