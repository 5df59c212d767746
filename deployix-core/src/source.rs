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
    lines: OnceLock<Vec<usize>>,
}

impl Source {
    /// A file's text, and how to index it.
    pub fn new(file: impl Into<Arc<str>>, text: String, build: fn(&str) -> Box<dyn Index>) -> Self {
        Self { file: file.into(), text, build, index: OnceLock::new(), lines: OnceLock::new() }
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
        index.range(path).map(|range| self.at(range))
    }

    /// The place of a byte range; many of them cost one pass over the text.
    #[must_use]
    pub fn at(&self, range: Range<usize>) -> Place {
        let lines = self.lines.get_or_init(|| {
            std::iter::once(0).chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect()
        });
        let line = lines.partition_point(|start| *start <= range.start);
        Place::in_line(&self.file, &self.text, line, lines[line - 1], range)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Index for Nowhere {
        fn range(&self, _: &[&str]) -> Option<Range<usize>> {
            None
        }
    }

    #[test]
    fn a_place_found_through_the_lines_is_the_place_found_without_them() {
        let text = "a = 1\r\nüü = 2\n\nlast";
        let source = Source::new("x.toml", text.to_owned(), |_| Box::new(Nowhere));
        for start in 0..=text.len() + 2 {
            let range = start..start + 3;
            assert_eq!(source.at(range.clone()), Place::of(source.file(), text, range));
        }
    }
}
