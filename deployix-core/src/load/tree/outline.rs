//! Which keys a TOML text defines, and where: what its parser no longer knows once it has found
//! that one of them is given twice.

use std::borrow::Cow;

use toml_parser::{
    Source,
    parser::{Event, EventKind, RecursionGuard, parse_document},
};

use super::{At, DEPTH};

/// Every key of a text, in the order of the text, each knowing the key that leads to it.
///
/// Each part of a dotted key is a key. The tables of an array of tables are taken for one.
pub(super) struct Outline {
    keys: Vec<Key>,
}

struct Key {
    /// The key that leads to it, by its position.
    parent: Option<usize>,
    text: String,
    at: At,
    /// How many keys lead to it.
    depth: usize,
}

impl Outline {
    /// Reads a text's outline.
    pub(super) fn of(text: &str) -> Self {
        let source = Source::new(text);
        let tokens = source.lex().into_vec();
        let mut events: Vec<Event> = Vec::new();
        let limit = u32::try_from(DEPTH).unwrap_or(u32::MAX);
        // Errors have been told by the parser proper; here they are passed over.
        parse_document(&tokens, &mut RecursionGuard::new(&mut events, limit), &mut ());

        let mut walk = Walk { source, keys: Vec::new(), open: Vec::new(), parent: None };
        events.iter().for_each(|event| walk.event(event));
        Self { keys: walk.keys }
    }

    /// The path of the key that stands there.
    pub(super) fn path_at(&self, at: At) -> Option<Vec<&str>> {
        let mut key = self.keys.binary_search_by(|key| key.at.cmp(&at)).ok();
        let mut path = Vec::new();
        while let Some(position) = key {
            path.push(self.keys[position].text.as_str());
            key = self.keys[position].parent;
        }
        path.reverse();
        Some(path).filter(|path| !path.is_empty())
    }

    /// The first key that is nested too deep.
    pub(super) fn too_deep(&self) -> Option<At> {
        self.keys.iter().find(|key| key.depth >= DEPTH).map(|key| key.at)
    }

    /// Where a path was first led to.
    pub(super) fn first(&self, path: &[&str]) -> Option<At> {
        self.keys.iter().find(|key| self.is(key, path)).map(|key| key.at)
    }

    fn is(&self, key: &Key, path: &[&str]) -> bool {
        match (path.split_last(), key.parent) {
            (Some((last, rest)), parent) if *last == key.text => match parent {
                Some(parent) => self.is(&self.keys[parent], rest),
                None => rest.is_empty(),
            },
            _ => false,
        }
    }
}

struct Walk<'t> {
    source: Source<'t>,
    keys: Vec<Key>,
    open: Vec<Open>,
    /// The last part of the key that is being read, or the key that leads to it.
    parent: Option<usize>,
}

enum Open {
    /// A table whose header ends in this key; the outermost.
    Header(Option<usize>),
    /// A key whose value is being read.
    Key(Option<usize>),
    Array,
    InlineTable,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) {
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                self.open.clear();
                self.parent = None;
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                self.open.push(Open::Header(self.parent));
            }
            EventKind::SimpleKey => {
                let mut text = Cow::Borrowed("");
                if let Some(raw) = self.source.get(event) {
                    raw.decode_key(&mut text, &mut ());
                }
                let at = At::from(event.span().start()..event.span().end());
                let depth = self.parent.map_or(0, |parent| self.keys[parent].depth + 1);
                let text = text.into_owned();
                self.keys.push(Key { parent: self.parent, text, at, depth });
                self.parent = Some(self.keys.len() - 1);
            }
            EventKind::KeyValSep => self.open.push(Open::Key(self.parent)),
            EventKind::ArrayOpen => self.open.push(Open::Array),
            EventKind::InlineTableOpen => {
                self.open.push(Open::InlineTable);
                self.start_key();
            }
            EventKind::ValueSep => self.start_key(),
            EventKind::ArrayClose | EventKind::InlineTableClose => {
                self.open.pop();
                self.end_value();
            }
            EventKind::Scalar => self.end_value(),
            _ => {}
        }
    }

    fn end_value(&mut self) {
        if matches!(self.open.last(), Some(Open::Key(_))) {
            self.open.pop();
            self.start_key();
        }
    }

    fn start_key(&mut self) {
        self.parent = self
            .open
            .iter()
            .rev()
            .find_map(|open| match open {
                Open::Header(key) | Open::Key(key) => Some(*key),
                Open::Array | Open::InlineTable => None,
            })
            .flatten();
    }
}
