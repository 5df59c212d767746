//! Large TOML catalogs, read part by part: on several threads, and with a part's memory each.
//!
//! The bulk of a large file is one functionality after another, and each `[functionality.NAME]`
//! starts anew in TOML's grammar. So a text may be cut before such a line, as long as everything
//! before it is TOML by itself: then the line is no part of a string or a list that was begun
//! there. That is so for the first part by its being parsed, and so for each next one. Anything
//! out of the ordinary (an error, one name in two parts, a name that is none, another table in between) means that the
//! text is read as a whole instead, which gives the same where both work.

use std::{ops::Range, sync::Arc};

use super::{
    Format, SpecFile,
    catalog::functionalities,
    decode::{Named, Reader},
    parallel::in_parallel,
    tree::{Entry, Problem, Value, parse_part},
};
use crate::spec::Functionality;

/// From how large a text on it pays.
const LARGE: usize = 1 << 20;
/// How large a part is at least.
const PART: usize = 128 << 10;

const SECTION: &str = "functionality";
const HEADER: &str = "\n[functionality.";

/// A text cut into parts.
#[derive(Debug, PartialEq)]
pub(super) struct Parts {
    /// What comes before and after the functionalities.
    rest: [Range<usize>; 2],
    bulk: Vec<Range<usize>>,
}

impl Parts {
    /// Cuts a file's text, where it is large.
    pub(super) fn of(file: &SpecFile) -> Option<Self> {
        let text = file.source.text();
        let large = file.format == Format::Toml && text.len() >= LARGE;
        large.then(|| Self::cut(text, PART)).flatten()
    }

    fn cut(text: &str, least: usize) -> Option<Self> {
        let mut headers = text.match_indices(HEADER).map(|(at, _)| at + 1);
        let first = headers.next()?;
        let (mut start, mut last, mut bulk) = (first, first, Vec::new());
        for header in headers {
            if header - start >= least && name_at(text, header)? != name_at(text, last)? {
                bulk.push(start..header);
                start = header;
            }
            last = header;
        }
        let end = text[last..].find("\n[").map_or(text.len(), |at| last + at + 1);
        bulk.push(start..end);
        Some(Self { rest: [0..first, end..text.len()], bulk })
    }

    /// What is not a functionality.
    pub(super) fn rest<'t>(&self, text: &'t str) -> Option<Vec<Entry<'t>>> {
        let [before, after] = self.rest.clone();
        let mut entries = parse_part(text, before)?;
        entries.extend(parse_part(text, after)?);
        entries.sort_by(|a, b| a.key.cmp(&b.key));
        let twice = entries.windows(2).any(|pair| pair[0].key == pair[1].key);
        let more = entries.iter().any(|entry| entry.key == SECTION);
        (!twice && !more).then_some(entries)
    }

    /// Reads the functionalities; `None` where the text has to be read as a whole.
    pub(super) fn read(&self, text: &str, reader: &Reader<'_>) -> Option<Bulk> {
        let mut all = Bulk::default();
        for part in in_parallel(&self.bulk, |part| read_part(text, part, reader.another())) {
            all.add(part?)?;
        }
        Some(all)
    }
}

/// The functionalities of a file that were read before the rest of it.
#[derive(Default)]
pub(super) struct Bulk {
    pub(super) named: Named<Arc<dyn Functionality>>,
    pub(super) problems: Vec<Problem>,
}

impl Bulk {
    /// Adds what another part has; `None` where a name is in both.
    fn add(&mut self, more: Self) -> Option<()> {
        let Named { read, unreadable, nameless: _ } = more.named;
        let all = &mut self.named;
        let taken = |name| all.read.contains_key(name) || all.unreadable.contains(name);
        if read.keys().chain(&unreadable).any(taken) {
            return None;
        }
        all.read.extend(read);
        all.unreadable.extend(unreadable);
        self.problems.extend(more.problems);
        Some(())
    }
}

/// The name of the functionality that a header is about.
fn name_at(text: &str, header: usize) -> Option<&str> {
    let name = &text[header + HEADER.len() - 1..];
    name.find(['.', ']', '\n']).map(|end| &name[..end])
}

fn read_part(text: &str, part: &Range<usize>, mut reader: Reader<'_>) -> Option<Bulk> {
    let entries = parse_part(text, part.clone())?;
    let [Entry { key, node, .. }] = entries.as_slice() else { return None };
    if key != SECTION || !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let named = functionalities(&mut reader, node);
    // A name that is none may stand in another part too, and nothing here remembers it.
    (named.nameless == 0).then(|| Bulk { named, problems: reader.into_problems() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::{catalog::catalog, document};

    /// What a catalog's text says, and whether it was read in parts.
    fn read(text: &str, parts: Option<Parts>) -> String {
        let file = SpecFile::new("x.toml", Format::Toml, text.to_owned());
        let document = document(&file, None, "a catalog", parts, catalog);
        let read = document.content.map(|catalog| {
            let all: Vec<_> = catalog
                .functionalities
                .iter()
                .map(|f| format!("{} {:?}", f.name(), f.service().lower()))
                .collect();
            format!("{all:#?} {:?} {}", catalog.unreadable, catalog.incomplete)
        });
        format!("{read:#?} {}\n{}", document.complete, document.diagnostics)
    }

    fn parts(text: &str) -> Option<Parts> {
        let parts = Parts::cut(text, 1)?;
        let source = crate::source::Source::new("x", String::new(), |_| unreachable!());
        let worked =
            parts.rest(text).is_some() && parts.read(text, &Reader::new(&source, None)).is_some();
        worked.then_some(parts)
    }

    #[test]
    fn a_text_of_one_functionality_after_another_is_read_in_parts() {
        let text = "version = 1\n[functionality.a]\nfqdn = \"x\"\n[functionality.a.service]\n\
                    start = [\"a\"]\n[functionality.b.service]\nstart = 3\n[functionality.c]\n\
                    what = 3\n";
        let parts = parts(text).unwrap();
        assert_eq!(parts.bulk.len(), 3);
        assert_eq!(read(text, Some(parts)), read(text, None));
        assert!(read(text, None).contains("x.toml:7:9"));
    }

    #[test]
    fn what_only_looks_like_a_header_is_none() {
        for text in [
            "version = 1\n[functionality.a]\nfqdn = '''\n[functionality.b]\nx = 1\n'''\n",
            "version = 1\nx = '''\n[functionality.b]\nx = 1\n[other]\n'''\n",
            "version = 1\n[functionality.a]\n[functionality.b]\nx = '''\n[other]\n'''\n",
            "version = 1\nx = [\n[functionality.b]\n]\n",
            // Nor is anything else that is out of the ordinary.
            "version = 1\n[functionality.a]\n[functionality.b]\n[functionality.a.service]\n",
            "version = 1\n[functionality.a]\n[functionality.b]\n[functionality.a]\n",
            "version = 1\n[functionality.a]\n[target.x]\n[functionality.b]\n",
            "version = 1\nfunctionality.c = {}\n[functionality.a]\n[functionality.b]\n",
            "version = 1\n[functionality]\n[functionality.a]\n[functionality.b]\n",
            "version = 1\n[functionality.a]\nx = 1979-99-99\n[functionality.b]\n",
            "version = 1\n[functionality.G]\n[functionality.a]\n[functionality.G]\n",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_text_says_the_same_in_parts_and_as_a_whole(
            lines in prop::collection::vec(prop::sample::select(vec![
                "[functionality.a]", "[functionality.a.service]", "[functionality.b.service]",
                "[functionality.c]", "[functionality.d.group.x]", "[functionality.\"e\"]",
                "[[functionality.f]]", "[functionality]", "[target.a]", "[functionality.G]",
                "start = [\"x\"]", "start = [", "[\"x\"]", "]", "service.start = []", "user = '''",
                "'''", "user = \"\"\"", "\"\"\"", "fqdn = \"a.b\"", "# [functionality.z]", "x = 1",
                "version = 1", "",
            ]), 0..24),
        ) {
            let text = format!("version = 1\n{}\n", lines.join("\n"));
            if let Some(parts) = parts(&text) {
                prop_assert_eq!(read(&text, Some(parts)), read(&text, None), "{}", text);
            }
        }
    }
}
