//! Where specs were read from, so that a finding made much later can still name the line.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

use crate::diagnostic::Place;

/// Knows where in a text things are.
pub trait Index: Send + Sync {
    /// The bytes that a path of keys leads to, or as far along the path as there is something.
    fn range(&self, path: &[&str]) -> Option<Range<usize>>;
}

/// The text that specs were read from.
///
/// Specs themselves are plain data without places; only where something is wrong is the text
/// indexed, once. So places cost nothing as long as all is well.
pub struct Source {
    file: Arc<str>,
    text: String,
    build: fn(&str) -> Box<dyn Index>,
    index: OnceLock<Box<dyn Index>>,
}

impl Source {
    /// A file's text, and how to index it.
    pub fn new(file: impl Into<Arc<str>>, text: String, build: fn(&str) -> Box<dyn Index>) -> Self {
        Self { file: file.into(), text, build, index: OnceLock::new() }
    }

    /// The file, as its user named it.
    #[must_use]
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The text as it was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place that a path of keys leads to; list items go by their index.
    #[must_use]
    pub fn place(&self, path: &[&str]) -> Option<Place> {
        let index = self.index.get_or_init(|| (self.build)(&self.text));
        index.range(path).map(|range| Place::of(&self.file, &self.text, range))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}
