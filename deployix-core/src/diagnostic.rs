//! What is wrong, where, why and what to do about it; and a stage's successes beside its failures.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::Serialize;

use crate::name::Name;

mod code;
mod consequence;

pub use code::Code;
pub(crate) use consequence::Cause;
pub use consequence::Stopped;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// What it is about does not go further.
    Error,
    /// What it is about goes further, not quite as asked.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, as its user named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The line's text, without its end; empty where the line is too long to be shown.
    pub excerpt: String,
    /// How many characters of the line are meant, at least 1.
    pub length: usize,
}

impl Place {
    /// How long a line may be, in bytes, to be shown.
    const SHOWN: usize = 1_000;

    /// The place of a byte range in a file's text; the range is cut at the end of its first line.
    #[must_use]
    pub fn of(file: &Arc<str>, text: &str, range: std::ops::Range<usize>) -> Self {
        let before = &text[..floor_char_boundary(text, range.start)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self::in_line(file, text, before.matches('\n').count() + 1, line_start, range)
    }

    /// The same, of a range in a line that is known.
    pub(crate) fn in_line(
        file: &Arc<str>,
        text: &str,
        line: usize,
        line_start: usize,
        range: std::ops::Range<usize>,
    ) -> Self {
        let start = floor_char_boundary(text, range.start).max(line_start);
        let end = floor_char_boundary(text, range.end).max(start);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let excerpt = text[line_start..line_end].trim_end_matches('\r');
        Self {
            file: Arc::clone(file),
            line,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end.min(line_end)].trim_end().chars().count().max(1),
            excerpt: if excerpt.len() <= Self::SHOWN { excerpt.to_owned() } else { String::new() },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// One finding: what, where, why and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Which kind of finding it is.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong and why, in lower case, without a final dot.
    pub message: String,
    /// Where it is wrong, if it came from a file.
    pub place: Option<Place>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// The functionality that it is about.
    pub functionality: Option<Name>,
    /// Other places that belong to it, each with what is there.
    pub related: Vec<(String, Place)>,
    /// What goes no further because of it, besides what it is about: no finding of its own says so.
    pub stops: Stopped,
    /// What may be described where nothing could be read because of it, and is named elsewhere, such as
    /// ``a target `box` ``.
    pub hides: BTreeSet<String>,
    /// What is described wrongly, where others depend on it.
    #[serde(skip)]
    of: BTreeSet<Cause>,
    /// What it comes of; nothing where it is a mistake itself.
    #[serde(skip)]
    because: Vec<Cause>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            remedy: None,
            functionality: None,
            related: Vec::new(),
            stops: Stopped::default(),
            hides: BTreeSet::new(),
            of: BTreeSet::new(),
            because: Vec::new(),
        }
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Adds where it is.
    #[must_use]
    pub fn at(mut self, place: impl Into<Option<Place>>) -> Self {
        self.place = place.into();
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds which functionality it is about.
    #[must_use]
    pub fn about(mut self, functionality: &Name) -> Self {
        self.functionality = Some(functionality.clone());
        self.of(Cause::Functionality(functionality.clone()))
    }

    /// Says what it is that is described wrongly, so that what depends on it is told with it.
    #[must_use]
    pub(crate) fn of(mut self, cause: Cause) -> Self {
        self.of.insert(cause);
        self
    }

    /// Makes it the consequence of one of these: it is told with that, and only where nothing is told
    /// of any of them as a finding of its own.
    #[must_use]
    pub(crate) fn because(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.because.extend(causes);
        self
    }

    /// Says what may be described in what could not be read, such as ``a target `box` ``.
    #[must_use]
    pub(crate) fn hidden(mut self, what: impl Into<String>) -> Self {
        self.hides.insert(what.into());
        self
    }

    /// Whether nobody has said yet what it is that is described wrongly.
    pub(crate) fn is_of_nothing(&self) -> bool {
        self.of.is_empty()
    }

    /// What comes of it, besides what it is about, in a sentence that goes on from it; nothing where
    /// that is nothing.
    #[must_use]
    pub fn consequence(&self) -> Option<String> {
        consequence::told(&self.stops, &self.hides)
    }

    /// Adds another place that belongs to it.
    #[must_use]
    pub fn related(mut self, what: impl Into<String>, place: Option<Place>) -> Self {
        self.related.extend(place.map(|place| (what.into(), place)));
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        for (what, place) in &self.related {
            write!(f, "; {place}: {what}")?;
        }
        if let Some(consequence) = self.consequence() {
            write!(f, "; {consequence}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "; {remedy}")?;
        }
        Ok(())
    }
}

/// Names as a finding lists them: `` `a`, `b` and `c` ``; of many the first few, and how many more.
pub(crate) fn named<N: fmt::Display>(names: impl IntoIterator<Item = N>) -> String {
    /// So many are listed; more are counted.
    const LISTED: usize = 6;
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    let last = match names.len() {
        0 | 1 => return names.pop().unwrap_or_default(),
        many if many > LISTED => {
            names.truncate(LISTED - 1);
            format!("{} more", many - names.len())
        }
        _ => names.pop().unwrap_or_default(),
    };
    format!("{} and {last}", names.join(", "))
}

/// Findings, all of them at once.
///
/// They print one a line, in the order of their places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// No findings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether any of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Puts them in the order of their places, then codes and messages, drops repetitions, and has what
    /// only comes of others told with these; so the same problems print the same, in whatever order they
    /// were found, and each mistake is one finding.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.place.is_none(), d.place.clone(), d.severity, d.code);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.0.dedup();
        consequence::fold(&mut self.0);
    }

    /// The functionalities that go no further only because of mistakes that are not their own.
    #[must_use]
    pub fn stopped(&self) -> BTreeSet<&Name> {
        self.0.iter().flat_map(|finding| &finding.stops.functionalities).collect()
    }

    /// All of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, iter: T) {
        self.0.extend(iter);
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<T: IntoIterator<Item = Diagnostic>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// What a stage achieved, and what it did not: no stage fails as a batch.
#[derive(Debug, Clone)]
#[must_use = "a stage's findings have to be shown to somebody"]
pub struct Staged<T> {
    /// What succeeded.
    pub value: T,
    /// What did not, and remarks on what did.
    pub diagnostics: Diagnostics,
}

impl<T> Staged<T> {
    /// A stage's result.
    pub fn new(value: T, diagnostics: Diagnostics) -> Self {
        Self { value, diagnostics }
    }

    /// Runs the next stage on what succeeded, keeping the findings of both.
    pub fn then<U>(self, stage: impl FnOnce(T) -> Staged<U>) -> Staged<U> {
        let mut next = stage(self.value);
        let mut diagnostics = self.diagnostics;
        diagnostics.extend(std::mem::take(&mut next.diagnostics));
        Staged { value: next.value, diagnostics }
    }

    /// The value where nothing failed; warnings are passed over.
    ///
    /// # Errors
    /// All findings, where one of them is an error.
    pub fn complete(self) -> Result<T, Diagnostics> {
        if self.diagnostics.has_errors() { Err(self.diagnostics) } else { Ok(self.value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let file: Arc<str> = "x.toml".into();
        let text = "a = 1\nüü = \"naïve\"\r\nb = 2";
        let start = text.find('"').unwrap();
        let place = Place::of(&file, text, start..start + "\"naïve\"".len());
        assert_eq!((place.line, place.column, place.length), (2, 6, 7));
        assert_eq!(place.excerpt, "üü = \"naïve\"");
        assert_eq!(place.to_string(), "x.toml:2:6");
    }

    #[test]
    fn a_place_survives_ranges_that_point_nowhere() {
        let file: Arc<str> = "x".into();
        for (text, range) in [("", 5..9), ("ü", 1..1), ("a\n", 2..2), ("a\nb", 0..3)] {
            assert!(Place::of(&file, text, range).length >= 1);
        }
    }

    #[test]
    fn names_are_listed_up_to_a_few() {
        let listed = |count: usize| named((0..count).map(|at| format!("n{at}")));
        assert_eq!((listed(0), listed(1)), (String::new(), "`n0`".to_owned()));
        assert_eq!(listed(2), "`n0` and `n1`");
        assert_eq!(listed(6), "`n0`, `n1`, `n2`, `n3`, `n4` and `n5`");
        assert_eq!(listed(100), "`n0`, `n1`, `n2`, `n3`, `n4` and 95 more");
    }

    #[test]
    fn findings_sort_by_place_and_lose_their_doubles() {
        let file: Arc<str> = "x".into();
        let at = |line: usize| Place::of(&file, "\n\n\n", line..line);
        let make = |line| Diagnostic::error(Code::KeyUnknown, "m").at(at(line));
        let mut found: Diagnostics = [make(2), make(0), make(2)].into_iter().collect();
        found.push(Diagnostic::warning(Code::Noted, "elsewhere"));
        found.sort();
        let lines: Vec<_> = found.iter().map(|d| d.place.as_ref().map(|p| p.line)).collect();
        assert_eq!(lines, [Some(1), Some(3), None]);
    }
}
