//! From a tree to typed values: every problem is told, none stops the reading of the rest.
//!
//! A reader never fails as a whole: what cannot be read is told and counted, and `None` or a
//! default stands in for it. Whoever reads something that is only good as a whole compares the
//! count before and after, by [`Reader::whole`].

mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
};

use super::{
    bulk::Bulk,
    folder::{Folder, FolderError},
    tree::{At, Entry, Node, Problem, Value},
};
use crate::{
    diagnostic::{Cause, Code, Diagnostic, Diagnostics},
    name::Name,
    ordered::OrderedMap,
    source::Source,
    spec::Functionality,
    suggest::nearest,
};

/// Reads one text's tree.
pub(super) struct Reader<'s> {
    source: &'s Source,
    /// What lies beside the text, where there is anything.
    pub(super) folder: Option<&'s Folder>,
    problems: Vec<Problem>,
    failures: usize,
    /// What is being read, where others depend on it.
    subject: Option<Cause>,
    bulk: Option<Bulk>,
}

/// A map that is being read; it knows which keys it was asked for.
pub(super) struct Fields<'n, 't> {
    entries: &'n [Entry<'t>],
    at: At,
    what: &'static str,
    asked: Vec<&'static str>,
    /// Keys that are wrong here, and have been told in words of their own.
    told: Vec<&'static str>,
    /// Keys that have to be here and are not, each with the position of the problem that says so.
    missing: Vec<(&'static str, usize)>,
}

impl<'n, 't> Fields<'n, 't> {
    /// The value of a key.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node<'t>> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A key and its value.
    pub(super) fn entry(&mut self, key: &'static str) -> Option<&'n Entry<'t>> {
        self.asked.push(key);
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A key that belongs elsewhere, for a finding that says where.
    pub(super) fn misplaced(&mut self, key: &'static str) -> Option<&'n Entry<'t>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        self.told.push(key);
        Some(entry)
    }

    /// Where the map is.
    pub(super) fn at(&self) -> At {
        self.at
    }
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source, folder: Option<&'s Folder>) -> Self {
        Self { source, folder, problems: Vec::new(), failures: 0, subject: None, bulk: None }
    }

    /// Another reader of the same text, which has found nothing yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.source, self.folder)
    }

    /// Adds what was found by others.
    pub(super) fn add(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
    }

    /// Keeps functionalities that were read before the rest.
    pub(super) fn keep(&mut self, bulk: Bulk) {
        self.bulk = Some(bulk);
    }

    /// The functionalities that were read before the rest.
    pub(super) fn kept(&mut self) -> Option<Named<Arc<dyn Functionality>>> {
        let Bulk { named, problems } = self.bulk.take()?;
        self.problems.extend(problems);
        Some(named)
    }

    /// Everything that was found.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Everything that was found, each finding in its place.
    pub(super) fn into_diagnostics(self) -> Diagnostics {
        let source = self.source;
        let placed = self.problems.into_iter().map(|Problem { at, diagnostic, related }| {
            let diagnostic = diagnostic.at(source.at(at.range()));
            match related {
                Some((what, at)) => diagnostic.related(what, Some(source.at(at.range()))),
                None => diagnostic,
            }
        });
        let mut diagnostics: Diagnostics = placed.collect();
        diagnostics.sort();
        diagnostics
    }

    /// Tells an error.
    pub(super) fn fail(&mut self, at: At, diagnostic: Diagnostic) {
        self.failures += 1;
        self.tell(at, diagnostic);
    }

    /// Tells an error with another place that belongs to it.
    pub(super) fn fail_twice(&mut self, at: At, diagnostic: Diagnostic, first: (&'static str, At)) {
        self.fail(at, diagnostic);
        if let Some(problem) = self.problems.last_mut() {
            problem.related = Some(first);
        }
    }

    /// Tells a remark.
    pub(super) fn tell(&mut self, at: At, mut diagnostic: Diagnostic) {
        diagnostic = match &self.subject {
            Some(Cause::Functionality(name)) => diagnostic.about(name),
            Some(cause) => diagnostic.of(cause.clone()),
            None => diagnostic,
        };
        self.problems.push(Problem::new(at, diagnostic));
    }

    /// Reads something that is good only as a whole: `None` where anything in it is wrong. That
    /// is then no failure of what it is in.
    pub(super) fn whole<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let before = self.failures;
        let value = read(self).filter(|_| self.failures == before);
        self.failures = before;
        value
    }

    /// Reads something that others depend on; findings are about it.
    pub(super) fn about<T>(&mut self, cause: Cause, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.subject.replace(cause);
        let value = read(self);
        self.subject = before;
        value
    }

    /// Whether anything failed outside of what is good only as a whole.
    pub(super) fn failed(&self) -> bool {
        self.failures > 0
    }

    /// Reads a map whose keys are known: those that `read` asks for. It must ask for all of them,
    /// whatever it finds.
    pub(super) fn table<'n, 't, T>(
        &mut self,
        node: &'n Node<'t>,
        what: &'static str,
        read: impl FnOnce(&mut Self, &mut Fields<'n, 't>) -> T,
    ) -> Option<T> {
        let entries = self.entries(node)?;
        let asked = Vec::with_capacity(16);
        let (told, missing) = (Vec::new(), Vec::new());
        let mut fields = Fields { entries, at: node.at, what, asked, told, missing };
        let value = read(self, &mut fields);
        self.refuse_unknown(&fields);
        Some(value)
    }

    fn refuse_unknown(&mut self, fields: &Fields<'_, '_>) {
        let Fields { entries, what, asked, told, missing, .. } = fields;
        let known = |key| asked.contains(&key) || told.contains(&key);
        let unknown = || entries.iter().filter(|entry| !known(&entry.key));
        // A key that is misspelt is one mistake: the right one is not missing besides.
        let meant: Vec<&str> =
            unknown().filter_map(|it| nearest(&it.key, asked.iter().copied())).collect();
        for (_, at) in missing.iter().rev().filter(|(key, _)| meant.contains(key)) {
            self.problems.remove(*at);
        }
        for entry in unknown() {
            let mut remedy = match nearest(&entry.key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? "),
                None => String::new(),
            };
            let mut keys = asked.clone();
            keys.sort_unstable();
            keys.dedup();
            remedy.push_str(&format!("known keys: {}", keys.join(", ")));
            let message = format!("{what} has no key `{}`", shown(&entry.key));
            let diagnostic = Diagnostic::error(Code::KeyUnknown, message).remedy(remedy);
            self.fail(entry.key_at, diagnostic);
        }
    }

    /// The value of a key that has to be there.
    pub(super) fn required<'n, 't>(
        &mut self,
        fields: &mut Fields<'n, 't>,
        key: &'static str,
    ) -> Option<&'n Node<'t>> {
        let node = fields.get(key);
        if node.is_none() {
            fields.missing.push((key, self.problems.len()));
            let message = format!("{} needs the key `{key}`", fields.what);
            self.fail(fields.at, Diagnostic::error(Code::KeyMissing, message));
        }
        node
    }

    /// Reads things by their names, each good only as a whole; what has no name that is one may be
    /// anything that `hidden` says.
    pub(super) fn named<'n, 't, T>(
        &mut self,
        node: &'n Node<'t>,
        hidden: &Cause,
        cause: impl Fn(Name) -> Cause,
        mut read: impl FnMut(&mut Self, &'n Node<'t>, Name) -> Option<T>,
    ) -> Named<T> {
        let mut named = Named::default();
        for entry in self.entries(node).unwrap_or_default() {
            let key = |reader: &mut Self| reader.key(entry, |key| Name::new(key));
            let name = self.whole(|reader| reader.about(hidden.clone(), key));
            let Some(name) = name else {
                named.nameless += 1;
                continue;
            };
            let read = |reader: &mut Self| read(reader, &entry.node, name.clone());
            match self.whole(|reader| reader.about(cause(name.clone()), read)) {
                Some(value) => drop(named.read.insert(name, value)),
                None => drop(named.unreadable.insert(name)),
            }
        }
        named
    }

    /// Reads a map whose keys are names that the user chooses.
    pub(super) fn map<'n, 't, K: Ord, V, E: Error>(
        &mut self,
        node: &'n Node<'t>,
        key: impl Fn(&str) -> Result<K, E>,
        mut value: impl FnMut(&mut Self, &'n Entry<'t>) -> Option<V>,
    ) -> OrderedMap<K, V> {
        let entries = self.entries(node).unwrap_or_default().iter();
        let read = entries.filter_map(|entry| {
            let key = self.key(entry, &key);
            let value = value(self, entry);
            key.zip(value)
        });
        read.collect()
    }

    /// Parses a key.
    pub(super) fn key<K, E: Error>(
        &mut self,
        entry: &Entry<'_>,
        parse: impl FnOnce(&str) -> Result<K, E>,
    ) -> Option<K> {
        parse(&entry.key).map_err(|error| self.fail(entry.key_at, invalid(chain(&error)))).ok()
    }

    /// Reads something that lies beside the text.
    pub(super) fn beside<T>(
        &mut self,
        node: &Node<'_>,
        read: impl FnOnce(&Folder) -> Result<T, FolderError>,
    ) -> Option<T> {
        let Some(folder) = self.folder else {
            let message = "this text is in no folder, so no file lies beside it";
            self.fail(node.at, Diagnostic::error(Code::FileUnreadable, message));
            return None;
        };
        let unreadable = |error: FolderError| {
            let diagnostic = Diagnostic::error(Code::FileUnreadable, chain(&error));
            self.fail(node.at, diagnostic.remedy(error.remedy()));
        };
        read(folder).map_err(unreadable).ok()
    }

    fn entries<'n, 't>(&mut self, node: &'n Node<'t>) -> Option<&'n [Entry<'t>]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => {
                let diagnostic = self.unexpected("a table of keys", node);
                self.mistyped(node, diagnostic);
                None
            }
        }
    }

    fn unexpected(&self, expected: &str, node: &Node<'_>) -> Diagnostic {
        invalid(format!("{expected} is expected, found {}", node.value.kind()))
    }

    /// Tells that a value is of the wrong type; what is broken has been told already.
    fn mistyped(&mut self, node: &Node<'_>, diagnostic: Diagnostic) {
        match node.value {
            Value::Broken => self.failures += 1,
            _ => self.fail(node.at, diagnostic),
        }
    }

    /// A value as it stands in the text.
    fn text(&self, node: &Node<'_>) -> String {
        shown(self.source.text().get(node.at.range()).unwrap_or_default())
    }
}

/// Things by their names.
pub(super) struct Named<T> {
    pub(super) read: BTreeMap<Name, T>,
    /// The names of those that could not be read.
    pub(super) unreadable: BTreeSet<Name>,
    /// How many there are whose names are none.
    pub(super) nameless: usize,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { read: BTreeMap::new(), unreadable: BTreeSet::new(), nameless: 0 }
    }
}

/// That a value has the wrong type or form.
pub(super) fn invalid(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Code::ValueInvalid, message)
}

/// Keeps a message readable when the text in it is not.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    // What was only escaped for its quotes reads better without.
    shown.replace("\\\"", "\"").replace("\\'", "'")
}

/// An error and its sources on one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
