//! From files to a [`Deployment`], with every problem told at once.
//!
//! A text is parsed into a tree in which every key and value has its place (`tree`), and the tree
//! is read into specs by typed readers that collect problems instead of stopping at the first
//! (`decode`, and a module for each kind of file). TOML, YAML and JSON differ in `tree` alone.
//!
//! Nothing fails as a batch. A functionality that cannot be read is left out and named in
//! [`Catalog::unreadable`]; a catalog that cannot be read at all makes the deployment
//! [incomplete](Deployment::incomplete). Only what ties everything together has to be right as a
//! whole: with anything wrong in the deployment file's own settings there is no deployment.
//!
//! ```
//! use deployix_core::load::{Format, SpecFile, parse_catalog};
//!
//! let text = r#"
//! version = 1
//! [functionality.web]
//! fqdn = "www.example.com"
//! service.start = ["web", "--port", "3000"]
//! service.endpoints.http.port = 3000
//! [functionality.worker]
//! service.strat = ["worker"]
//! "#;
//! let file = SpecFile::new("deployix.toml", Format::Toml, text.to_owned());
//! let catalog = parse_catalog(&file, None);
//! assert_eq!(catalog.value.functionalities.len(), 1);
//! assert_eq!(
//!     catalog.diagnostics.to_string().lines().next(),
//!     Some(
//!         "deployix.toml:8:9: error[key-unknown]: a service has no key `strat`; did you mean \
//!          `start`? known keys: endpoints, env, files, initializer, limits, on-demand, \
//!          overrides, readiness, schedule, software, start, state, stop, user"
//!     )
//! );
//! ```

mod bulk;
mod catalog;
mod decode;
mod deployment;
mod file;
mod folder;
mod gather;
mod infrastructure;
mod parallel;
mod service;
mod tree;

use std::{path::Path, sync::Arc};

use self::{
    bulk::Parts,
    decode::{Fields, Reader},
    deployment::Central,
    tree::{At, Node, Tree, Value},
};
pub use self::{
    file::{Format, SpecFile},
    folder::{Folder, FolderError},
};
use crate::{
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Place, Severity, Staged},
    spec::{Catalog, Deployment, Infrastructure},
};

/// Loads a deployment: its file, or the folder that holds `deployment.toml`, `.yaml` or `.json`,
/// and the catalogs and infrastructure files that it names.
pub fn load(path: &Path) -> Staged<Option<Deployment>> {
    match SpecFile::open(path, "deployment") {
        Ok((file, folder)) => parse_deployment(&file, Some(&folder)),
        Err(diagnostic) => Staged::new(None, placed(*diagnostic, path).into()),
    }
}

/// Loads a catalog: its file, or the folder that holds `deployix.toml`, `.yaml` or `.json`.
pub fn load_catalog(path: &Path) -> Staged<Catalog> {
    match SpecFile::open(path, "deployix") {
        Ok((file, folder)) => parse_catalog(&file, Some(&folder)),
        Err(diagnostic) => {
            let catalog = Catalog { incomplete: true, ..Catalog::default() };
            Staged::new(catalog, placed(diagnostic.of(Cause::Catalogs), path).into())
        }
    }
}

/// Reads a deployment from its text, and the files it names from their places.
///
/// Without a folder it can name none.
pub fn parse_deployment(file: &SpecFile, folder: Option<&Folder>) -> Staged<Option<Deployment>> {
    let parts = Parts::of(file);
    let central = document(file, folder, "a deployment", parts, deployment::central);
    gather::gather(file, folder, central)
}

/// Reads a catalog from its text, and what it ships along from the folder.
pub fn parse_catalog(file: &SpecFile, folder: Option<&Folder>) -> Staged<Catalog> {
    let parts = Parts::of(file);
    let Document { content, complete, diagnostics } =
        document(file, folder, "a catalog", parts, catalog::catalog);
    let mut catalog = content.unwrap_or_default();
    catalog.source = Some(Arc::clone(&file.source));
    catalog.incomplete |= !complete;
    Staged::new(catalog, hiding(diagnostics, Cause::Catalogs))
}

/// Reads infrastructure from its text.
pub fn parse_infrastructure(file: &SpecFile) -> Staged<Infrastructure> {
    let Document { content, complete, diagnostics } =
        document(file, None, "an infrastructure file", None, infrastructure::infrastructure);
    let mut infrastructure = content.unwrap_or_default();
    infrastructure.sources = vec![Arc::clone(&file.source)];
    infrastructure.incomplete |= !complete;
    Staged::new(infrastructure, hiding(diagnostics, Cause::Infrastructure))
}

/// Findings about a file: those that are about nothing in it by name hide whatever it holds.
fn hiding(diagnostics: Diagnostics, cause: Cause) -> Diagnostics {
    let hides = |it: &Diagnostic| it.severity == Severity::Error && it.is_of_nothing();
    let of = |it: Diagnostic| if hides(&it) { it.of(cause.clone()) } else { it };
    diagnostics.into_iter().map(of).collect()
}

/// What a file says.
struct Document<T> {
    /// `None` where the file makes no sense as a whole.
    content: Option<T>,
    /// Whether all of it was understood, but for what is good only as a whole.
    complete: bool,
    diagnostics: Diagnostics,
}

/// The version of spec files that this program reads.
const VERSION: u64 = 1;

fn document<T>(
    file: &SpecFile,
    folder: Option<&Folder>,
    what: &'static str,
    parts: Option<Parts>,
    read: impl FnOnce(&mut Reader<'_>, &mut Fields<'_, '_>) -> T,
) -> Document<T> {
    let mut reader = Reader::new(&file.source, folder);
    let text = file.source.text();
    let in_parts = parts.and_then(|parts| Some((parts.rest(text)?, parts.read(text, &reader)?)));
    let root = match in_parts {
        Some((rest, bulk)) => {
            reader.keep(bulk);
            Some(Node { at: At::START, value: Value::Map(rest) })
        }
        None => {
            let Tree { root, problems } = Tree::parse(text, file.format);
            reader.add(problems);
            root
        }
    };
    let content = root.and_then(|root| {
        if let Value::Map(entries) = &root.value {
            let version = entries.iter().find(|entry| entry.key == "version");
            let at = version.map_or(root.at, |entry| entry.node.at);
            let diagnostic = |message| Diagnostic::error(Code::VersionUnsupported, message);
            let right = file.format.entry("version", "1");
            match version.map(|entry| &entry.node.value) {
                Some(Value::Number(number)) if number.as_u64() == Some(VERSION) => {}
                Some(Value::Broken) => return None,
                Some(_) => {
                    // Whatever the other keys are, they are not of this version.
                    let message = "this program reads version 1 of spec files alone";
                    reader.fail(at, diagnostic(message).remedy(format!("write {right}")));
                    return None;
                }
                None => {
                    let message = "the file does not say its version";
                    reader.fail(at, diagnostic(message).remedy(format!("start it with {right}")));
                }
            }
        }
        reader.table(&root, what, |reader, fields| {
            fields.get("version");
            read(reader, fields)
        })
    });
    let complete = content.is_some() && !reader.failed();
    Document { content, complete, diagnostics: reader.into_diagnostics() }
}

/// Gives a finding about a file as a whole a place.
fn placed(diagnostic: Diagnostic, path: &Path) -> Diagnostic {
    let place = diagnostic.place.clone();
    let whole = || Place::of(&path.display().to_string().into(), "", 0..0);
    diagnostic.at(place.unwrap_or_else(whole))
}
