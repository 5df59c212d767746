//! YAML: a tree and its printer.
//!
//! Printed is the part of YAML that 1.1 and 1.2 read alike: block collections, strings in double
//! quotes with everything but printable ASCII escaped (YAML 1.2, section 5.7), and literal blocks
//! where a text has nothing in it that they could change.

use super::text::Text;
use crate::request::Value;

/// A piece of a document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A string.
    Text(Text),
    /// True or false.
    Bool(bool),
    /// A list.
    List(Vec<Self>),
    /// Keys and values in the given order. Keys are plain words of this crate's own.
    Map(Vec<(&'static str, Self)>),
}

impl Node {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Text::from(text))
    }

    /// Prints the node as a document's body.
    pub(super) fn print(&self) -> Text {
        let mut out = Text::default();
        self.block(0, &mut out);
        out
    }

    /// Whether it goes on the line of its key or dash.
    fn inline(&self) -> bool {
        match self {
            Self::Text(_) | Self::Bool(_) => true,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
        }
    }

    /// Prints at the start of a line, at an indentation.
    fn block(&self, indent: usize, out: &mut Text) {
        match self {
            Self::List(items) if !items.is_empty() => {
                for item in items {
                    out.push(&" ".repeat(indent));
                    out.push("- ");
                    item.after_dash(indent + 2, out);
                }
            }
            Self::Map(entries) if !entries.is_empty() => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 || indent == 0 {
                        out.push(&" ".repeat(indent));
                    }
                    out.push(key);
                    out.push(":");
                    value.after_key(indent, out);
                }
            }
            scalar => scalar.scalar(indent, out),
        }
    }

    /// Prints after `- `; nested collections start on the same line.
    fn after_dash(&self, indent: usize, out: &mut Text) {
        match self {
            Self::Map(entries) if !entries.is_empty() => self.block(indent, out),
            Self::List(items) if !items.is_empty() => {
                // A list of scalars reads best on one line.
                out.push("[");
                for (index, item) in items.iter().enumerate() {
                    out.push(if index > 0 { ", " } else { "" });
                    item.flow(out);
                }
                out.push("]\n");
            }
            scalar => scalar.scalar(indent, out),
        }
    }

    fn after_key(&self, indent: usize, out: &mut Text) {
        if self.inline() {
            out.push(" ");
            self.scalar(indent + 2, out);
        } else {
            out.push("\n");
            let map = matches!(self, Self::Map(_));
            if map {
                out.push(&" ".repeat(indent + 2));
            }
            self.block(indent + 2, out);
        }
    }

    /// Prints within `[` and `]`.
    fn flow(&self, out: &mut Text) {
        match self {
            Self::Text(text) => quoted(text, out),
            Self::Bool(value) => out.push(if *value { "true" } else { "false" }),
            Self::List(items) => {
                out.push("[");
                for (index, item) in items.iter().enumerate() {
                    out.push(if index > 0 { ", " } else { "" });
                    item.flow(out);
                }
                out.push("]");
            }
            Self::Map(entries) => {
                out.push("{");
                for (index, (key, value)) in entries.iter().enumerate() {
                    out.push(if index > 0 { ", " } else { "" });
                    out.push(key);
                    out.push(": ");
                    value.flow(out);
                }
                out.push("}");
            }
        }
    }

    fn scalar(&self, indent: usize, out: &mut Text) {
        match self {
            Self::Text(text) if fits_literal_block(text) => literal_block(text, indent, out),
            other => {
                other.flow(out);
                out.push("\n");
            }
        }
    }
}

/// Whether a literal block gives the text back unchanged: several lines of printable ASCII, the
/// first of them not starting with a blank (which would set the indentation), exactly one line feed
/// at the end.
fn fits_literal_block(text: &Text) -> bool {
    let preview = text.fill_with("x");
    let Some(body) = preview.strip_suffix('\n') else { return false };
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~'))
}

fn literal_block(text: &Text, indent: usize, out: &mut Text) {
    let margin = " ".repeat(indent);
    out.push("|\n");
    let mut at_line_start = true;
    for part in text.parts() {
        match part {
            Value::Known(text) => {
                for line in text.split_inclusive('\n') {
                    // An empty line needs no margin.
                    if at_line_start && line != "\n" {
                        out.push(&margin);
                    }
                    out.push(line);
                    at_line_start = line.ends_with('\n');
                }
            }
            output @ Value::Output(_) => {
                if at_line_start {
                    out.push(&margin);
                }
                out.append(&Text::from(vec![output.clone()]));
                at_line_start = false;
            }
        }
    }
}

/// Prints in double quotes.
fn quoted(text: &Text, out: &mut Text) {
    out.push("\"");
    for part in text.parts() {
        match part {
            Value::Known(text) => out.push(&escape(text)),
            output @ Value::Output(_) => out.append(&Text::from(vec![output.clone()])),
        }
    }
    out.push("\"");
}

fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        // Writing to a string cannot fail.
        let _ = match (c, u32::from(c)) {
            ('"', _) => write!(escaped, "\\\""),
            ('\\', _) => write!(escaped, "\\\\"),
            ('\n', _) => write!(escaped, "\\n"),
            ('\t', _) => write!(escaped, "\\t"),
            (' '..='~', _) => write!(escaped, "{c}"),
            (_, code @ 0..=0xff) => write!(escaped, "\\x{code:02x}"),
            (_, code @ 0..=0xffff) => write!(escaped, "\\u{code:04x}"),
            (_, code) => write!(escaped, "\\U{code:08x}"),
        };
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_prints_as_blocks() {
        let tree = Node::Map(vec![
            ("on", Node::Bool(true)),
            ("none", Node::List(vec![])),
            ("map", Node::Map(vec![("a", Node::text("1")), ("b", Node::text("\u{1f600}é\u{7}"))])),
            (
                "files",
                Node::List(vec![
                    Node::Map(vec![
                        ("path", Node::text("/a")),
                        ("content", Node::text("x\n\n y\n")),
                    ]),
                    Node::List(vec![Node::text("ls"), Node::text("-l \"\\")]),
                    Node::text("no: list"),
                ]),
            ),
        ]);
        let expected = concat!(
            "on: true\n",
            "none: []\n",
            "map:\n",
            "  a: \"1\"\n",
            "  b: \"\\U0001f600\\xe9\\x07\"\n",
            "files:\n",
            "  - path: \"/a\"\n",
            "    content: |\n",
            "      x\n",
            "\n",
            "       y\n",
            "  - [\"ls\", \"-l \\\"\\\\\"]\n",
            "  - \"no: list\"\n",
        );
        assert_eq!(tree.print().as_known(), Some(expected));
    }

    #[test]
    fn only_text_that_survives_it_becomes_a_literal_block() {
        assert!(fits_literal_block(&Text::from("a\nb\n")));
        for hostile in
            ["a\n", "a\nb", " a\nb\n", "\na\nb\n", "a\nb\n\n", "a\r\nb\n", "é\nb\n", "a\n\tb\n"]
        {
            assert!(!fits_literal_block(&Text::from(hostile)), "{hostile:?}");
        }
    }
}
