//! Strings: the one place that escapes.
//!
//! Nix has two forms. `"…"` holds anything; `''…''` shows lines as lines, but strips common
//! indentation and has escapes that depend on what stands before them, so it is used only for texts
//! that survive it for certain.

use super::expr::{Expr, Part};

/// Text in the `"…"` form.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    push_escaped(&mut out, text, false);
    out.push('"');
    out
}

/// Parts in the `"…"` form; `value` prints an interpolated expression on one line.
pub(super) fn quoted_parts(parts: &[Part], mut value: impl FnMut(&Expr, &mut String)) -> String {
    let mut out = String::from("\"");
    let parts = joined(parts);
    for (index, part) in parts.iter().enumerate() {
        match part {
            Joined::Text(text) => push_escaped(&mut out, text, index + 1 < parts.len()),
            Joined::Value(expr) => {
                out.push_str("${");
                value(expr, &mut out);
                out.push('}');
            }
        }
    }
    out.push('"');
    out
}

/// Escapes for `"…"`. A dollar sign matters before `{`, which may also be that of a following
/// interpolation.
fn push_escaped(out: &mut String, text: &str, interpolation_follows: bool) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if opens(chars.peek(), interpolation_follows) => out.push_str("\\$"),
            c => out.push(c),
        }
    }
}

/// Tells whether the character after a `$` makes it the start of an interpolation.
fn opens(next: Option<&char>, interpolation_follows: bool) -> bool {
    match next {
        Some(next) => *next == '{',
        None => interpolation_follows,
    }
}

/// Tells whether parts are shown better, and come back unchanged, in the `''…''` form.
///
/// It needs two lines or more; no carriage return, which Nix turns into a newline there; a line
/// that starts with something else than a space, or the stripping of common indentation would eat
/// into the text; and a last line that is not all spaces, which would be dropped.
pub(super) fn suits_indented(parts: &[Part]) -> bool {
    let (mut breaks_inside, mut anchored, mut line_start, mut only_spaces) =
        (false, false, true, true);
    let mut ended = false;
    for part in joined(parts) {
        let Joined::Text(text) = part else {
            breaks_inside |= ended;
            anchored |= line_start;
            (line_start, only_spaces, ended) = (false, false, false);
            continue;
        };
        for c in text.chars() {
            breaks_inside |= ended;
            ended = c == '\n';
            match c {
                '\r' => return false,
                '\n' => (line_start, only_spaces) = (true, true),
                ' ' => line_start = false,
                _ => {
                    anchored |= line_start;
                    (line_start, only_spaces) = (false, false);
                }
            }
        }
    }
    breaks_inside && anchored && (line_start || !only_spaces)
}

/// Parts in the `''…''` form, its lines at `indent`, closed at `outer`.
pub(super) fn indented(
    parts: &[Part],
    indent: &str,
    outer: &str,
    mut value: impl FnMut(&Expr, &mut String),
) -> String {
    let mut out = String::from("''\n");
    let mut at_line_start = true;
    let parts = joined(parts);
    for (index, part) in parts.iter().enumerate() {
        match part {
            Joined::Value(expr) => {
                if at_line_start {
                    out.push_str(indent);
                }
                at_line_start = false;
                out.push_str("${");
                value(expr, &mut out);
                out.push('}');
            }
            Joined::Text(text) => {
                let interpolation_follows = index + 1 < parts.len();
                let mut chars = text.chars().peekable();
                while let Some(c) = chars.next() {
                    if c == '\n' {
                        out.push('\n');
                        at_line_start = true;
                        continue;
                    }
                    if at_line_start {
                        out.push_str(indent);
                    }
                    at_line_start = false;
                    match c {
                        '$' if opens(chars.peek(), interpolation_follows) => out.push_str("''$"),
                        // Two quotes end the string and three are two; a lone one may join with an
                        // escape or the end. `''\` takes the next character as it is, wherever it
                        // stands.
                        '\'' if lone_quote_is_safe(&out, chars.peek()) => out.push('\''),
                        '\'' => out.push_str("''\\'"),
                        c => out.push(c),
                    }
                }
            }
        }
    }
    if at_line_start {
        out.push_str(outer);
    }
    out.push_str("''");
    out
}

/// A quote may stand alone between characters that are no quotes, and not before a dollar sign or
/// the end.
fn lone_quote_is_safe(out: &str, next: Option<&char>) -> bool {
    !out.ends_with('\'') && next.is_some_and(|next| !matches!(next, '\'' | '$'))
}

/// A string's parts with neighbouring texts joined, so that what stands next to what is plain.
enum Joined<'a> {
    Text(String),
    Value(&'a Expr),
}

fn joined(parts: &[Part]) -> Vec<Joined<'_>> {
    let mut joined: Vec<Joined<'_>> = Vec::with_capacity(parts.len());
    for part in parts {
        match (part, joined.last_mut()) {
            (Part::Text(text), _) if text.is_empty() => {}
            (Part::Text(text), Some(Joined::Text(last))) => last.push_str(text),
            (Part::Text(text), _) => joined.push(Joined::Text(text.clone())),
            (Part::Value(value), _) => joined.push(Joined::Value(value)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolation_openers_are_escaped_and_other_dollars_are_not() {
        assert_eq!(quoted("$x ${y} $${z} $"), "\"$x \\${y} $\\${z} $\"");
    }

    #[test]
    fn a_dollar_before_an_interpolation_stays_a_dollar() {
        let parts = [Part::from("cost $"), Part::from("$"), Part::from(Expr::var("x"))];
        let text = quoted_parts(&parts, |_, out| out.push('x'));
        assert_eq!(text, "\"cost $\\$${x}\"");
    }

    #[test]
    fn texts_that_the_indented_form_would_change_keep_the_quoted_form() {
        for text in
            ["one line", "one line\n", "  a\n  b", "a\r\nb", "a\n  ", "", "\n", "\n\n", " \n "]
        {
            assert!(!suits_indented(&[text.into()]), "{text:?}");
        }
        for text in ["a\nb", "a\n  b\n", "  a\nb\n", "\na", "a\n\n"] {
            assert!(suits_indented(&[text.into()]), "{text:?}");
        }
    }
}
