//! [`Manifest`]: which files in a folder were written by an earlier compile.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{digest::Digest, name::RelativePath};

/// Which files a compile wrote into a folder, and what it wrote: a file whose content is another
/// by now is somebody's own work.
///
/// While files are being written it knows the old and the new content of each, so that a crash at
/// any instant leaves nothing that would be taken for somebody else's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Manifest(BTreeMap<RelativePath, BTreeSet<Digest>>);

impl Manifest {
    /// Where it is kept in the folder.
    pub(super) const FILE: &str = ".deployix-files";
    const HEAD: &str = "# Written by `deployix compile`; version 1";

    /// Reads it; `None` where the text is something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let known = lines.next()? == Self::HEAD;
        let mut manifest = Self::default();
        for line in lines {
            let (digest, path) = line.split_once("  ")?;
            manifest.insert(RelativePath::new(path).ok()?, digest.parse().ok()?);
        }
        known.then_some(manifest)
    }

    pub(super) fn insert(&mut self, path: RelativePath, digest: Digest) {
        self.0.entry(path).or_default().insert(digest);
    }

    /// Whether anything was written there.
    pub(super) fn knows(&self, path: &RelativePath) -> bool {
        self.0.contains_key(path)
    }

    /// Whether anything was written below a folder of that path.
    pub(super) fn knows_below(&self, path: &RelativePath) -> bool {
        let below = |ours: &RelativePath| {
            ours.as_str().strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        // Paths that go on with something less than a slash may stand between.
        let from_there = self.0.range(path.clone()..).map(|(ours, _)| ours);
        from_there.take_while(|ours| ours.as_str().starts_with(path.as_str())).any(below)
    }

    /// Whether a file with that content was written there.
    pub(super) fn wrote(&self, path: &RelativePath, digest: Digest) -> bool {
        self.0.get(path).is_some_and(|digests| digests.contains(&digest))
    }

    /// Every path, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &RelativePath> {
        self.0.keys()
    }

    /// Adds what another one knows.
    pub(super) fn add(&mut self, other: &Self, wanted: impl Fn(&RelativePath) -> bool) {
        for (path, digests) in other.0.iter().filter(|(path, _)| wanted(path)) {
            self.0.entry(path.clone()).or_default().extend(digests);
        }
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Self::HEAD)?;
        for (path, digests) in &self.0 {
            digests.iter().try_for_each(|digest| writeln!(f, "{digest}  {path}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_nothing_else_is_taken_for_one() {
        let mut manifest = Manifest::default();
        let path = RelativePath::new("box/two  blanks.txt").unwrap();
        manifest.insert(path.clone(), Digest::of_bytes(b"x"));
        manifest.insert(path.clone(), Digest::of_bytes(b"y"));
        assert_eq!(Manifest::parse(&manifest.to_string()), Some(manifest.clone()));
        assert!(manifest.wrote(&path, Digest::of_bytes(b"y")));
        assert!(!manifest.wrote(&path, Digest::of_bytes(b"z")));
        assert!(manifest.knows(&path));

        let bad = |line: &str| Manifest::parse(&format!("{}\n{line}\n", Manifest::HEAD));
        let digest = Digest::of_bytes(b"");
        for line in [
            "x".to_owned(),
            format!("{digest}  ../../etc/passwd"),
            format!("{digest}  /etc/passwd"),
            "00  a".to_owned(),
        ] {
            assert_eq!(bad(&line), None, "{line}");
        }
        assert_eq!(Manifest::parse(""), None);
        assert_eq!(Manifest::parse(&format!("{digest}  a\n")), None);
    }

    #[test]
    fn what_is_below_a_folder_is_known_by_its_whole_name() {
        let path = |text| RelativePath::new(text).unwrap();
        let mut manifest = Manifest::default();
        for text in ["box-2/a", "box.d/a", "box/deep/a"] {
            manifest.insert(path(text), Digest::of_bytes(b""));
        }
        for (folder, known) in [("box", true), ("box/deep", true), ("bo", false), ("box/d", false)]
        {
            assert_eq!(manifest.knows_below(&path(folder)), known, "{folder}");
        }
    }
}
