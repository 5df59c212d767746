//! YAML text: a small tree and its one printer.
//!
//! Text is in double quotes, or a block of lines where it is plain lines of text; keys are quoted
//! where they need it. So no reader can take a string for a number, a date, a boolean or null,
//! whichever version of YAML it follows. In quotes, everything outside printable ASCII and ordinary
//! letters is escaped.

use std::fmt::Write as _;

/// A YAML node. Maps keep the order they are given: the caller's, or that of a `BTreeMap`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yaml {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(u64),
    /// Text, read back exactly.
    Text(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping with text keys.
    Map(Vec<(String, Yaml)>),
}

/// Keys longer than this are written in the explicit form: readers give up on looking for the
/// colon after 1,024 characters (YAML 1.2, section 7.4.2).
const LONGEST_SIMPLE_KEY: usize = 200;

impl Yaml {
    /// Prints the node as one document.
    pub fn print(&self) -> String {
        let mut out = String::new();
        self.block(&mut out, 0);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out
    }

    /// Appends the node at the start of a line that is already indented by `indent`.
    fn block(&self, out: &mut String, indent: usize) {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        pad(out, indent);
                    }
                    if key.len() > LONGEST_SIMPLE_KEY {
                        out.push_str("? ");
                        quote(out, key);
                        out.push('\n');
                        pad(out, indent);
                    } else if is_plain_key(key) {
                        out.push_str(key);
                    } else {
                        quote(out, key);
                    }
                    out.push(':');
                    value.after_colon(out, indent);
                }
            }
            Self::List(items) if !items.is_empty() && !self.is_short() => {
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        pad(out, indent);
                    }
                    out.push_str("- ");
                    item.block(out, indent + 2);
                }
            }
            flow => {
                flow.flow(out);
                out.push('\n');
            }
        }
    }

    fn after_colon(&self, out: &mut String, indent: usize) {
        if let Self::Text(text) = self
            && is_plain_lines(text)
        {
            out.push_str(" |\n");
            for line in text.lines() {
                if !line.is_empty() {
                    pad(out, indent + 2);
                    out.push_str(line);
                }
                out.push('\n');
            }
            return;
        }
        let nested = match self {
            Self::Map(entries) => !entries.is_empty(),
            Self::List(items) => !items.is_empty() && !self.is_short(),
            _ => false,
        };
        if nested {
            out.push('\n');
            pad(out, indent + 2);
            self.block(out, indent + 2);
        } else {
            out.push(' ');
            self.flow(out);
            out.push('\n');
        }
    }

    /// Appends the node on the current line.
    fn flow(&self, out: &mut String) {
        match self {
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => out.push_str(&value.to_string()),
            Self::Text(text) => quote(out, text),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    item.flow(out);
                }
                out.push(']');
            }
            // Only an empty map gets here: `block` and `after_colon` take the others.
            Self::Map(_) => out.push_str("{}"),
        }
    }

    /// Whether a list reads better on one line: an argument vector, a pair of capabilities.
    fn is_short(&self) -> bool {
        let Self::List(items) = self else {
            return false;
        };
        let length = items.iter().try_fold(0, |length, item| match item {
            Self::Text(text) => Some(length + text.len() + 4),
            Self::Bool(_) | Self::Number(_) => Some(length + 8),
            Self::List(_) | Self::Map(_) => None,
        });
        length.is_some_and(|length| length <= 80)
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Several lines of printable ASCII, ended by exactly one line break, which a literal block
/// carries as they are (YAML 1.2, section 8.1.2). The first one must not be indented: it tells
/// the reader how far the block is.
fn is_plain_lines(text: &str) -> bool {
    text.strip_suffix('\n').is_some_and(|body| {
        body.contains('\n')
            && !body.ends_with('\n')
            && !body.starts_with(['\n', ' '])
            && body.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n'))
    })
}

/// Identifiers that no YAML version reads as anything but text.
fn is_plain_key(key: &str) -> bool {
    const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    key.starts_with(|first: char| first.is_ascii_alphabetic())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !WORDS.iter().any(|word| key.eq_ignore_ascii_case(word))
}

/// Appends a double-quoted scalar (YAML 1.2, section 7.3.1).
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            // Letters stay readable; marks, separators and unassigned characters do not print.
            c if c.is_alphanumeric() => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a String cannot fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Yaml {
        Yaml::Text(text.into())
    }

    #[test]
    fn nests_and_keeps_short_lists_on_a_line() {
        let tree = Yaml::Map(vec![
            ("name".into(), text("zalora")),
            (
                "services".into(),
                Yaml::Map(vec![(
                    "web".into(),
                    Yaml::Map(vec![
                        ("command".into(), Yaml::List(vec![text("web"), text("--port=80")])),
                        ("init".into(), Yaml::Bool(true)),
                        (
                            "ports".into(),
                            Yaml::List(vec![Yaml::Map(vec![
                                ("target".into(), Yaml::Number(80)),
                                ("published".into(), text("8080")),
                            ])]),
                        ),
                        ("labels".into(), Yaml::Map(vec![])),
                    ]),
                )]),
            ),
        ]);
        assert_eq!(
            tree.print(),
            "name: \"zalora\"\nservices:\n  web:\n    command: [\"web\", \"--port=80\"]\n    init: true\n    \
             ports:\n      - target: 80\n        published: \"8080\"\n    labels: {}\n"
        );
    }

    #[test]
    fn plain_lines_are_a_block_and_others_are_quoted() {
        let print = |value: &str| Yaml::Map(vec![("k".into(), text(value))]).print();
        assert_eq!(print("a\n\n  b\n"), "k: |\n  a\n\n    b\n");
        for quoted in ["a\n", "a\nb", "a\nb\n\n", " a\nb\n", "\na\nb\n", "a\tb\nc\n", "é\na\n"] {
            assert!(print(quoted).starts_with("k: \""), "{quoted:?}");
        }
    }

    #[test]
    fn keys_that_a_reader_could_take_for_something_else_are_quoted() {
        for key in ["on", "No", "1", "a b", "", "é", "a:", "~"] {
            let printed = Yaml::Map(vec![(key.into(), Yaml::Bool(true))]).print();
            assert!(printed.starts_with('"'), "{printed}");
        }
    }
}
