//! `deployix compile`: what the backends generate, as files.

use std::collections::{BTreeMap, BTreeSet};

use deployix::core::{
    Digest, Name, RelativePath,
    diagnostic::Diagnostics,
    output::{Leftovers, Written, write_files},
    topology::on_one_target,
};
use serde::Serialize;

use super::counted;
use crate::{
    arguments::Compile,
    pipeline::{self, maybe},
    plain::plain,
    session::{Exit, Session},
};

/// What `--json` prints; paths are below `folder`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    deployment: Option<&'a Name>,
    folder: String,
    /// Every compiled file with the BLAKE3 digest of its content.
    files: &'a BTreeMap<RelativePath, Digest>,
    changed: &'a BTreeSet<RelativePath>,
    removed: &'a BTreeSet<RelativePath>,
    left: &'a BTreeSet<RelativePath>,
    diagnostics: &'a Diagnostics,
}

pub(crate) fn run(arguments: &Compile, session: &Session) -> Exit {
    let registry = deployix::registry();
    let mut loaded = pipeline::load(&arguments.specs.file);
    if let Some(backend) = &arguments.backend {
        loaded = loaded.then(|deployment| maybe(deployment, |d| on_one_target(d, backend)));
    }
    let mut staged = pipeline::compiled(loaded, &registry);
    let findings = &mut staged.diagnostics;

    let mut written = Written::default();
    if let Some(compiled) = &staged.value {
        // Files of what failed stay as they are, like everything else of it.
        let failed = findings.has_errors();
        let leftovers = if failed { Leftovers::Keep } else { Leftovers::Remove };
        match write_files(&compiled.files(), &arguments.out, leftovers) {
            Ok(done) => written = done,
            Err(error) => findings.extend(error.diagnostics()),
        }
    }
    session.tell(findings);

    let folder = arguments.out.display().to_string();
    if session.json {
        session.print_json(&Document {
            deployment: staged.value.as_ref().map(|compiled| compiled.connected().deployment()),
            folder,
            files: &written.files,
            changed: &written.changed,
            removed: &written.removed,
            left: &written.left,
            diagnostics: findings,
        });
    } else {
        session.print(&text(&plain(&folder), &written));
    }
    Exit::of(findings)
}

fn text(folder: &str, written: &Written) -> String {
    let mut text = String::new();
    let mut list = |what: &str, paths: &BTreeSet<RelativePath>| {
        for path in paths {
            text += &format!("{what} {folder}/{path}\n");
        }
    };
    list("wrote", &written.changed);
    list("removed", &written.removed);
    list("left", &written.left);
    if !written.files.is_empty() {
        let files = counted(written.files.len(), "file", "files");
        let same = written.files.len() - written.changed.len();
        text += &format!("{files} below {folder}, {same} of them unchanged\n");
    }
    text
}
