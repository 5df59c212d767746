//! YAML 1.2, by `granit-parser`'s events.
//!
//! Plain scalars are read by the core schema (YAML 1.2.2, section 10.3.2), so `no` is a string.
//! Anchors and aliases work, as far as they do not multiply; tags and merge keys are refused.

use std::{borrow::Cow, collections::HashMap};

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag, options};
use serde_json::Number;

use super::{At, DEPTH, Entry, Node, Problem, Tree, Value, in_order};

/// How many values aliases may repeat in one text.
const REPEATED: usize = 100_000;

/// Parses a text of one YAML document.
pub(super) fn parse(text: &str) -> Tree<'_> {
    let options = options! {
        disallow_directives: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
        emit_comments: false,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let problem = match event {
            Ok((event, span)) => builder.event(event, &span).err(),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or_default();
                Some(syntax(at..at + 1, error.info()))
            }
        };
        if let Some(problem) = problem {
            builder.problems.push(*problem);
            return Tree { root: None, problems: builder.problems };
        }
    }
    let empty = Node { at: At::START, value: Value::Map(Vec::new()) };
    Tree { root: Some(builder.root.unwrap_or(empty)), problems: builder.problems }
}

fn syntax(at: impl Into<At>, message: impl Into<String>) -> Box<Problem> {
    Box::new(Problem::syntax(at, message))
}

fn range(span: &Span) -> At {
    At::from(span.byte_range().unwrap_or_default())
}

#[derive(Default)]
struct Builder<'t> {
    open: Vec<Open<'t>>,
    root: Option<Node<'t>>,
    anchors: HashMap<usize, (Node<'t>, usize)>,
    repeated: usize,
    problems: Vec<Problem>,
}

/// A list or a map that is being read.
struct Open<'t> {
    at: At,
    anchor: usize,
    content: Content<'t>,
    /// How many values there are in it, at any depth.
    size: usize,
}

enum Content<'t> {
    List(Vec<Node<'t>>),
    Map { entries: Vec<Entry<'t>>, key: Option<(Cow<'t, str>, At)> },
}

impl<'t> Builder<'t> {
    /// Takes in an event; `Err` is the end.
    fn event(&mut self, event: Event<'t>, span: &Span) -> Result<(), Box<Problem>> {
        let at = range(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err(syntax(at, "a second document starts here: one is expected"));
            }
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                self.open(at, anchor, Content::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.as_deref(), span)?;
                self.open(at, anchor, Content::Map { entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { at, anchor, content, size }) = self.open.pop() {
                    let value = match content {
                        Content::List(items) => Value::List(items),
                        Content::Map { entries, .. } => in_order(entries, &mut self.problems),
                    };
                    self.value(Node { at, value }, anchor, size)?;
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain || untagged(tag.as_deref(), span)?;
                if self.awaits_key() {
                    if text == "<<" && !quoted {
                        return Err(syntax(
                            at,
                            "merge keys are not a part of YAML 1.2: write the keys out",
                        ));
                    }
                    if anchor != 0 {
                        let node = Node { at, value: Value::Text(text.clone()) };
                        self.anchors.insert(anchor, (node, 1));
                    }
                    self.key(text, at);
                } else {
                    let value = if quoted { Value::Text(text) } else { plain(text) };
                    self.value(Node { at, value }, anchor, 1)?;
                }
            }
            Event::Alias(id) => self.alias(id, at)?,
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, at: At) -> Result<(), Box<Problem>> {
        let Some((node, size)) = self.anchors.get(&id).cloned() else {
            return Err(syntax(at, "an alias cannot stand inside of what it repeats"));
        };
        self.repeat(size, at)?;
        match node.value {
            Value::Text(text) if self.awaits_key() => {
                self.key(text, at);
                Ok(())
            }
            value => self.value(Node { value, ..node }, 0, size),
        }
    }

    fn repeat(&mut self, size: usize, at: At) -> Result<(), Box<Problem>> {
        self.repeated += size;
        if self.repeated > REPEATED {
            let message = format!("aliases repeat more than {REPEATED} values");
            return Err(syntax(at, message));
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        let content = self.open.last().map(|open| &open.content);
        matches!(content, Some(Content::Map { key: None, .. }))
    }

    fn key(&mut self, text: Cow<'t, str>, at: At) {
        if let Some(Open { content: Content::Map { key, .. }, .. }) = self.open.last_mut() {
            *key = Some((text, at));
        }
    }

    fn open(&mut self, at: At, anchor: usize, content: Content<'t>) -> Result<(), Box<Problem>> {
        if self.open.len() >= DEPTH {
            return Err(Box::new(Problem::too_deep(at)));
        }
        if self.awaits_key() {
            return Err(syntax(at, "a key has to be a string"));
        }
        self.open.push(Open { at, anchor, content, size: 1 });
        Ok(())
    }

    fn value(&mut self, node: Node<'t>, anchor: usize, size: usize) -> Result<(), Box<Problem>> {
        if anchor != 0 {
            self.repeat(size, node.at)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size += size;
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, key } => {
                let Some((key, key_at)) = key.take() else {
                    return Err(syntax(node.at, "a key has to be a string"));
                };
                entries.push(Entry { key, key_at, node });
            }
        }
        Ok(())
    }
}

/// Refuses tags, but for the one that says "a string"; tells whether it is there.
fn untagged(tag: Option<&Tag>, span: &Span) -> Result<bool, Box<Problem>> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema_tag("str") => Ok(true),
        Some(tag) => {
            let at = range(&span.tag_span().unwrap_or(*span));
            Err(syntax(at, format!("the tag `{}` means nothing here: remove it", tag.original())))
        }
    }
}

/// What a plain scalar is, by the core schema.
fn plain(text: Cow<'_, str>) -> Value<'_> {
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF"
        | ".nan" | ".NaN" | ".NAN" => Value::Foreign("no finite number"),
        word => number(word).map_or(Value::Text(text), Value::Number),
    }
}

fn number(word: &str) -> Option<Number> {
    let based = |digits: &str, base| match digits.as_bytes().first() {
        Some(b'+' | b'-') | None => None,
        Some(_) => u64::from_str_radix(digits, base).ok().map(Number::from),
    };
    if let Some(digits) = word.strip_prefix("0o") {
        return based(digits, 8);
    }
    if let Some(digits) = word.strip_prefix("0x") {
        return based(digits, 16);
    }
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let mut bytes = unsigned.bytes();
    match (bytes.next(), bytes.next()) {
        (Some(b'0'..=b'9'), _) | (Some(b'.'), Some(b'0'..=b'9')) => {}
        _ => return None,
    }
    let word = word.strip_prefix('+').unwrap_or(word);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = word.parse::<i64>().map(Number::from).or_else(|_| word.parse().map(u64::into));
        if let Ok(number) = whole {
            return Some(number);
        }
    }
    word.parse().ok().and_then(Number::from_f64)
}
