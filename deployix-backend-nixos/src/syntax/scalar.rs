//! Names, numbers and paths.

use super::string::quoted;

/// Words that Nix reads as syntax; `or` is an operator only after a selection, but quoting it is
/// never wrong.
const KEYWORDS: [&str; 10] =
    ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

/// Tells whether Nix reads the text as one name.
pub(super) fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '\''))
        && !KEYWORDS.contains(&text)
}

/// An attribute name, quoted where it has to be.
pub(super) fn key_text(key: &str) -> String {
    if is_identifier(key) { key.to_owned() } else { quoted(key) }
}

/// An integer. It starts with `-`, or with `(`, if it is negative.
pub(super) fn int_text(value: i64) -> String {
    if value == i64::MIN {
        // Nix reads `-x` as the negation of `x`, and 2^63 itself does not fit.
        return format!("({} - 1)", value + 1);
    }
    value.to_string()
}

/// A finite float, in the shortest form that reads back as the same number.
pub(super) fn float_text(value: f64) -> String {
    let text = format!("{value:?}");
    // Nix needs a point before the exponent: `1e300` would be the number 1 and a variable.
    match text.split_once('e') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}

/// Tells whether a relative path can be a path literal, `./a/b`.
pub(super) fn is_path_literal(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_have_a_point_before_the_exponent() {
        assert_eq!(float_text(1e300), "1.0e300");
        assert_eq!(float_text(1.5e-7), "1.5e-7");
        assert_eq!(float_text(3.0), "3.0");
    }

    #[test]
    fn keywords_and_odd_names_are_quoted_as_keys() {
        for (key, text) in [
            ("or", "\"or\""),
            ("with", "\"with\""),
            ("127.0.0.1", "\"127.0.0.1\""),
            ("", "\"\""),
            ("${x}", "\"\\${x}\""),
            ("foo-bar'", "foo-bar'"),
            ("-a", "\"-a\""),
            ("é", "\"é\""),
        ] {
            assert_eq!(key_text(key), text);
        }
    }
}
