//! What is done before a program starts: its variables and files.

use std::collections::BTreeMap;

use deployix_core::{
    AbsolutePath,
    spec::{FileBody, FileContent, FileSpec, Part as Hole, Template},
};

use super::{LONGEST_ARGUMENT, Lowering};
use crate::{
    image::{Baked, shipped_folders},
    script::{self, HOME, RENDERED, Start, StartContent, StartFile},
    shell::{Part, Word},
};

/// Directories that are mounted over when a container starts, so that an image cannot put files
/// there.
const IN_MEMORY: [&str; 3] = ["/tmp", "/run", "/var/run"];

/// Paths that belong to the engine and the kernel.
const NOT_OURS: [&str; 6] =
    ["/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];

impl Lowering<'_, '_> {
    /// The variables that need no work at the start; the others are added to it.
    pub(super) fn environment(&mut self, work: &mut Start) -> BTreeMap<String, String> {
        let mut environment = BTreeMap::new();
        // What is shipped along comes first, whatever the service's own PATH is.
        let first = self.spec.software.path.as_ref().map(|_| shipped_folders().join(":") + ":");
        for (name, value) in &self.spec.env {
            let name = name.as_str();
            let prefix = first.as_deref().filter(|_| name == "PATH").unwrap_or_default();
            match value.as_literal() {
                Some(text) if name.len() + prefix.len() + text.len() + 1 >= LONGEST_ARGUMENT => {
                    self.too_long(&["env", name]);
                }
                Some(text) if text.contains('\0') => self.nul(&["env", name]),
                Some(text) => {
                    environment.insert(name.to_owned(), format!("{prefix}{text}"));
                }
                None => {
                    if let Some(mut word) = self.word(value, &["env", name]) {
                        word.0.insert(0, Part::Text(prefix.to_owned()));
                        work.variables.push((name.to_owned(), word));
                    }
                }
            }
        }
        environment
    }

    pub(super) fn word(&mut self, value: &Template, field: &[&str]) -> Option<Word> {
        let literals = value.parts().iter();
        let nul =
            literals.clone().any(|part| matches!(part, Hole::Literal(text) if text.contains('\0')));
        if nul {
            self.nul(field);
            return None;
        }
        match script::word(value) {
            Ok(word) => Some(word),
            Err(hole) => {
                self.notes.refuse(
                    field,
                    format!("{hole} cannot be filled in when a container starts"),
                    "write the value, or keep it in a secret",
                );
                None
            }
        }
    }

    /// The files that the image holds, and the links to those that are written at the start.
    pub(super) fn files(&mut self, work: &mut Start) -> (Vec<Baked>, Vec<(String, String)>) {
        let (mut baked, mut links) = (Vec::new(), Vec::new());
        for (index, (path, file)) in self.spec.files.iter().enumerate() {
            let field = ["files", path.as_str()];
            if NOT_OURS.iter().any(|other| lies_in(path, other)) {
                self.notes.refuse(
                    &field,
                    "the engine puts its own in that place in every container",
                    "put the file elsewhere",
                );
                continue;
            }
            let over = self.spec.state.iter().map(AbsolutePath::as_str);
            let mounted_over = over.chain(IN_MEMORY).any(|other| lies_in(path, other));
            let FileSpec { body, mode } = file;
            let content = match body {
                FileBody::Text(text) => match text.as_literal() {
                    Some(text) => FileContent::plain(text.as_bytes()),
                    None => {
                        let rendered = format!("{RENDERED}/{index}");
                        if let Some(word) = self.word(text, &field) {
                            let to = if mounted_over { path.as_str() } else { rendered.as_str() };
                            work.files.push(StartFile {
                                path: to.to_owned(),
                                mode: *mode,
                                content: StartContent::Text(word),
                            });
                            if !mounted_over {
                                links.push((path.to_string(), rendered));
                            }
                        }
                        continue;
                    }
                },
                FileBody::Bytes(content) => content.clone(),
            };
            let mut path = path.to_string();
            let mut image_mode = *mode;
            if mounted_over {
                let copy = format!("{HOME}/files/{index}");
                work.files.push(StartFile {
                    path,
                    mode: *mode,
                    content: StartContent::CopyOf(copy.clone()),
                });
                path = copy;
                image_mode = 0o400;
            }
            baked.push(Baked { path, mode: image_mode, content });
        }
        (baked, links)
    }
}

fn lies_in(path: &AbsolutePath, folder: &str) -> bool {
    let rest = path.as_str().strip_prefix(folder);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_in_itself_and_its_parents_alone() {
        let path = AbsolutePath::new("/run/x").unwrap();
        assert!(lies_in(&path, "/run") && lies_in(&path, "/run/x"));
        assert!(!lies_in(&path, "/ru") && !lies_in(&path, "/run/x/y"));
    }
}
