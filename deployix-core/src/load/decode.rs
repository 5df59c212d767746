//! From a tree to typed values: every problem is told, none stops the reading of the rest.
//!
//! A reader never fails as a whole: what cannot be read is told and counted, and `None` or a
//! default stands in for it. Whoever reads something that is only good as a whole compares the
//! count before and after, by [`Reader::whole`].

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    num::NonZeroU32,
};

use serde_json::Number;

use super::{
    folder::{Folder, FolderError},
    tree::{At, Entry, Node, Problem, Value},
};
use crate::{
    diagnostic::{Code, Diagnostic, Diagnostics},
    name::{Name, Namespace},
    source::Source,
    spec::{Extensions, MilliCpus, Template},
    suggest::nearest,
};

/// Reads one text's tree.
pub(super) struct Reader<'s> {
    source: &'s Source,
    /// What lies beside the text, where there is anything.
    pub(super) folder: Option<&'s Folder>,
    problems: Vec<Problem>,
    failures: usize,
    /// The functionality that is being read.
    subject: Option<Name>,
}

/// A map that is being read; it knows which keys it was asked for.
pub(super) struct Fields<'n, 't> {
    entries: &'n [Entry<'t>],
    at: At,
    what: &'static str,
    asked: Vec<&'static str>,
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

    /// Where the map is.
    pub(super) fn at(&self) -> At {
        self.at
    }
}

impl<'s> Reader<'s> {
    pub(super) fn new(source: &'s Source, folder: Option<&'s Folder>, found: Vec<Problem>) -> Self {
        Self { source, folder, problems: found, failures: 0, subject: None }
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
        diagnostic.functionality.clone_from(&self.subject);
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

    /// Reads something of a functionality; findings are about it.
    pub(super) fn about<T>(
        &mut self,
        functionality: &Name,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.subject = Some(functionality.clone());
        let value = read(self);
        self.subject = None;
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
        let mut fields = Fields { entries, at: node.at, what, asked };
        let value = read(self, &mut fields);
        self.refuse_unknown(&fields);
        Some(value)
    }

    fn refuse_unknown(&mut self, fields: &Fields<'_, '_>) {
        let Fields { entries, what, asked, .. } = fields;
        for entry in entries.iter().filter(|entry| !asked.contains(&entry.key.as_ref())) {
            let mut remedy = match nearest(&entry.key, asked.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? "),
                None => String::new(),
            };
            let mut known = asked.clone();
            known.sort_unstable();
            remedy.push_str(&format!("known keys: {}", known.join(", ")));
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
            let message = format!("{} needs the key `{key}`", fields.what);
            self.fail(fields.at, Diagnostic::error(Code::KeyMissing, message));
        }
        node
    }

    /// Reads things by their names, each good only as a whole.
    pub(super) fn named<'n, 't, T>(
        &mut self,
        node: &'n Node<'t>,
        mut read: impl FnMut(&mut Self, &'n Node<'t>, Name) -> Option<T>,
    ) -> Named<T> {
        let mut named = Named::default();
        for entry in self.entries(node).unwrap_or_default() {
            let Some(name) = self.whole(|reader| reader.key(entry, |key| Name::new(key))) else {
                named.nameless += 1;
                continue;
            };
            match self.whole(|reader| read(reader, &entry.node, name.clone())) {
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
    ) -> BTreeMap<K, V> {
        let mut map = BTreeMap::new();
        for entry in self.entries(node).unwrap_or_default() {
            let key = self.key(entry, &key);
            let value = value(self, entry);
            map.extend(key.zip(value));
        }
        map
    }

    /// Parses a key.
    pub(super) fn key<K, E: Error>(
        &mut self,
        entry: &Entry<'_>,
        parse: impl FnOnce(&str) -> Result<K, E>,
    ) -> Option<K> {
        parse(&entry.key).map_err(|error| self.fail(entry.key_at, invalid(chain(&error)))).ok()
    }

    /// Reads a list.
    pub(super) fn list<'n, 't, T>(
        &mut self,
        node: &'n Node<'t>,
        mut item: impl FnMut(&mut Self, &'n Node<'t>) -> Option<T>,
    ) -> Vec<T> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|node| item(self, node)).collect(),
            _ => {
                let diagnostic = self.unexpected("a list", node);
                let remedy = format!("put it in brackets: [{}]", self.text(node));
                self.mistyped(node, diagnostic.remedy(remedy));
                Vec::new()
            }
        }
    }

    /// Reads a list in which nothing stands twice.
    pub(super) fn distinct<'n, 't, T: Ord + Clone>(
        &mut self,
        node: &'n Node<'t>,
        mut item: impl FnMut(&mut Self, &'n Node<'t>) -> Option<T>,
    ) -> Vec<T> {
        let mut seen: BTreeMap<T, At> = BTreeMap::new();
        self.list(node, |reader, node| {
            let value = item(reader, node)?;
            let Some(first) = seen.insert(value.clone(), node.at) else { return Some(value) };
            let diagnostic = invalid(format!("{} is listed twice", reader.text(node)));
            let remedy = "remove one of the two";
            reader.fail_twice(node.at, diagnostic.remedy(remedy), ("first listed here", first));
            None
        })
    }

    /// Reads a string.
    pub(super) fn string<'n>(&mut self, node: &'n Node<'_>) -> Option<&'n str> {
        let diagnostic = match &node.value {
            Value::Text(text) if !text.contains('\0') => return Some(text),
            Value::Text(_) => invalid("the string has a NUL character, which nothing can hold"),
            Value::Boolean(_) | Value::Number(_) | Value::Foreign(_) => {
                let remedy = format!("put it in quotes: \"{}\"", self.text(node));
                self.unexpected("a string", node).remedy(remedy)
            }
            _ => self.unexpected("a string", node),
        };
        self.mistyped(node, diagnostic);
        None
    }

    /// Reads a string and parses it.
    pub(super) fn parse<T, E: Error>(
        &mut self,
        node: &Node<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(self.string(node)?);
        parsed.map_err(|error| self.fail(node.at, invalid(chain(&error)))).ok()
    }

    /// Reads a string with holes.
    pub(super) fn template(&mut self, node: &Node<'_>) -> Option<Template> {
        self.parse(node, Template::parse)
    }

    /// Reads a string in which something stands, and nothing that a single line cannot hold.
    pub(super) fn line(&mut self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let reason = match text {
            "" => "the string is empty",
            _ if text.chars().any(char::is_control) => "the string has a control character",
            _ if text.trim() != text => "the string starts or ends with a blank",
            _ => return Some(text.to_owned()),
        };
        self.fail(node.at, invalid(reason));
        None
    }

    /// Reads one of several words.
    pub(super) fn word<T: Copy>(
        &mut self,
        node: &Node<'_>,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mut remedy = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"? "),
            None => String::new(),
        };
        remedy.push_str(&format!("known are: {}", known.join(", ")));
        let message = format!("\"{}\" is not {what}", shown(text));
        self.fail(node.at, invalid(message).remedy(remedy));
        None
    }

    /// Reads a boolean.
    pub(super) fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        match node.value {
            Value::Boolean(value) => Some(value),
            _ => {
                let diagnostic = self.unexpected("a boolean", node).remedy("write true or false");
                self.mistyped(node, diagnostic);
                None
            }
        }
    }

    /// Reads a whole number of a range.
    pub(super) fn integer<T: TryFrom<u64>>(&mut self, node: &Node<'_>, what: &str) -> Option<T> {
        let number = self.number(node, "an integer")?;
        let value = number.as_u64().and_then(|number| T::try_from(number).ok());
        if value.is_none() {
            self.fail(node.at, invalid(format!("{number} is not {what}")));
        }
        value
    }

    /// Reads how many of something there are, at least one.
    pub(super) fn count(&mut self, node: &Node<'_>) -> Option<NonZeroU32> {
        let count = self.integer::<u32>(node, "a number of at least 1")?;
        let some = NonZeroU32::new(count);
        if some.is_none() {
            self.fail(node.at, invalid("0 is not a number of at least 1"));
        }
        some
    }

    /// Reads a share of processors.
    pub(super) fn cpus(&mut self, node: &Node<'_>) -> Option<MilliCpus> {
        let number = self.number(node, "a number")?;
        let cpus = MilliCpus::from_cpus(number.as_f64().unwrap_or(f64::NAN));
        cpus.map_err(|error| self.fail(node.at, invalid(chain(&error)))).ok()
    }

    fn number<'n>(&mut self, node: &'n Node<'_>, what: &str) -> Option<&'n Number> {
        match &node.value {
            Value::Number(number) => Some(number),
            Value::Text(text) if text.parse::<f64>().is_ok() => {
                let diagnostic = self.unexpected(what, node);
                let remedy = format!("write it without quotes: {}", shown(text));
                self.fail(node.at, diagnostic.remedy(remedy));
                None
            }
            _ => {
                let diagnostic = self.unexpected(what, node);
                self.mistyped(node, diagnostic);
                None
            }
        }
    }

    /// Reads extensions: their owners alone know what is in them.
    pub(super) fn extensions(&mut self, node: Option<&Node<'_>>) -> Extensions {
        let mut extensions = Extensions::default();
        let Some(node) = node else { return extensions };
        let entries = self.map(
            node,
            |key| Namespace::new(key),
            |reader, entry| {
                let json = entry.node.to_json();
                json.map_err(|node| {
                    let diagnostic = reader.unexpected("a value that JSON has as well", node);
                    let remedy = format!("put it in quotes: \"{}\"", reader.text(node));
                    reader.mistyped(node, diagnostic.remedy(remedy));
                })
                .ok()
            },
        );
        for (namespace, payload) in entries {
            extensions.insert_value(namespace, payload);
        }
        extensions
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
