//! Which keys a TOML text defines, and where: what its parser no longer knows once it has found
//! that one of them is given twice.

use std::{borrow::Cow, mem};

use toml_parser::{
    Source,
    parser::{Event, EventKind, RecursionGuard, parse_document},
};

use super::{At, DEPTH};

/// Every key of a text with the keys that lead to it, in the order of the text.
///
/// Each part of a dotted key is a key. The tables of an array of tables are taken for one.
pub(super) struct Outline {
    keys: Vec<(Vec<String>, At)>,
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

        let mut walk = Walk { source, keys: Vec::new(), open: Vec::new(), path: Vec::new() };
        events.iter().for_each(|event| walk.event(event));
        Self { keys: walk.keys }
    }

    /// The path of the key that stands there.
    pub(super) fn path_at(&self, at: At) -> Option<&[String]> {
        self.keys.iter().find(|(_, key_at)| *key_at == at).map(|(path, _)| path.as_slice())
    }

    /// Where a path was first led to.
    pub(super) fn first(&self, path: &[String]) -> Option<At> {
        self.keys.iter().find(|(other, _)| other == path).map(|(_, at)| *at)
    }
}

struct Walk<'t> {
    source: Source<'t>,
    keys: Vec<(Vec<String>, At)>,
    open: Vec<Open>,
    /// The keys that lead to the key that is being read, and its parts so far.
    path: Vec<String>,
}

enum Open {
    /// A table whose header this is; the outermost.
    Header(Vec<String>),
    /// A key whose value is being read.
    Key(Vec<String>),
    Array,
    InlineTable,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) {
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                self.open.clear();
                self.path.clear();
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                self.open.push(Open::Header(self.path.clone()));
            }
            EventKind::SimpleKey => {
                let span = event.span();
                let mut key = Cow::Borrowed("");
                if let Some(raw) = self.source.get(event) {
                    raw.decode_key(&mut key, &mut ());
                }
                self.path.push(key.into_owned());
                self.keys.push((self.path.clone(), At::from(span.start()..span.end())));
            }
            EventKind::KeyValSep => self.open.push(Open::Key(mem::take(&mut self.path))),
            EventKind::ArrayOpen => self.open.push(Open::Array),
            EventKind::InlineTableOpen => {
                self.open.push(Open::InlineTable);
                self.start_key();
            }
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
        let leading = self.open.iter().rev().find_map(|open| match open {
            Open::Header(path) | Open::Key(path) => Some(path.clone()),
            Open::Array | Open::InlineTable => None,
        });
        self.path = leading.unwrap_or_default();
    }
}
