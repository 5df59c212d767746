//! Gathers what a deployment file names: catalogs and infrastructure from other files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    sync::Arc,
};

use super::{
    Central, Document, Folder, SpecFile, deployment::Reference, parallel::in_parallel,
    parse_catalog, parse_infrastructure,
};
use crate::{
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Staged},
    name::Name,
    source::Source,
    spec::{Catalog, Deployment, Infrastructure},
};

/// Puts a deployment together from its file and the files that it names.
pub(super) fn gather(
    file: &SpecFile,
    folder: Option<&Folder>,
    central: Document<Central>,
) -> Staged<Option<Deployment>> {
    let Document { content, complete, mut diagnostics } = central;
    let Some(central) = content else { return Staged::new(None, diagnostics) };

    let mut catalogs = Vec::new();
    let mut own = central.catalog;
    if !own.functionalities.is_empty() || !own.unreadable.is_empty() || own.incomplete {
        own.source = Some(Arc::clone(&file.source));
        catalogs.push(own);
    }
    let mut all = Gathered::default();
    all.add(central.infrastructure, &file.source, &mut diagnostics);
    if let Some(folder) = folder {
        let stem = "deployix";
        let (named, unread) =
            open(file, folder, &central.catalogs, stem, Cause::Catalogs, &mut diagnostics);
        let read = in_parallel(&named, |(file, folder)| parse_catalog(file, Some(folder)));
        for read in read {
            diagnostics.extend(read.diagnostics);
            catalogs.push(read.value);
        }
        if unread {
            catalogs.push(Catalog { incomplete: true, ..Catalog::default() });
        }
        let (stem, cause) = ("infrastructure", Cause::Infrastructure);
        let (named, unread) =
            open(file, folder, &central.infrastructures, stem, cause, &mut diagnostics);
        all.infrastructure.incomplete |= unread;
        for (file, _) in &named {
            let read = parse_infrastructure(file);
            diagnostics.extend(read.diagnostics);
            all.add(read.value, &file.source, &mut diagnostics);
        }
    }
    diagnostics.sort();
    let deployment = central.deployment.filter(|_| complete).map(|mut deployment| {
        deployment.incomplete = catalogs.iter().any(|catalog| catalog.incomplete);
        deployment.catalogs = catalogs;
        deployment.infrastructure = all.infrastructure;
        deployment.source = Some(Arc::clone(&file.source));
        deployment
    });
    Staged::new(deployment, diagnostics)
}

/// Opens the files that are named, and says whether one of them cannot be; such a one, or one that was
/// named before, is told where it is named.
fn open(
    file: &SpecFile,
    folder: &Folder,
    references: &[Reference],
    stem: &str,
    cause: Cause,
    diagnostics: &mut Diagnostics,
) -> (Vec<(SpecFile, Folder)>, bool) {
    let (mut opened, mut unread) = (Vec::new(), false);
    let mut before: BTreeMap<PathBuf, &Reference> = BTreeMap::new();
    let place = |reference: &Reference| file.source.at(reference.at.range());
    for reference in references {
        match SpecFile::open(&folder.join(&reference.path), stem) {
            Err(diagnostic) => {
                unread = true;
                let mut diagnostic = diagnostic.of(cause.clone());
                let named = Some(place(reference));
                if diagnostic.place.is_none() {
                    let remedy = diagnostic.remedy.take();
                    let otherwise = || "correct the path, or make the file".to_owned();
                    diagnostic = diagnostic.at(named).remedy(remedy.unwrap_or_else(otherwise));
                } else {
                    diagnostic = diagnostic.related("named here", named);
                }
                diagnostics.push(diagnostic);
            }
            Ok((opened_file, opened_folder)) => {
                let path = PathBuf::from(&**opened_file.source.file());
                let real = fs::canonicalize(&path).unwrap_or(path);
                if let Some(first) = before.insert(real, reference) {
                    let message =
                        format!("`{}` is the same file as `{}`", reference.path, first.path);
                    let diagnostic = Diagnostic::error(Code::NameTaken, message)
                        .at(place(reference))
                        .remedy("remove one of the two")
                        .related("first named here", Some(place(first)));
                    diagnostics.push(diagnostic);
                } else {
                    opened.push((opened_file, opened_folder));
                }
            }
        }
    }
    (opened, unread)
}

/// Infrastructure of several files.
#[derive(Default)]
struct Gathered {
    infrastructure: Infrastructure,
    /// Which file each thing is from.
    origins: BTreeMap<(&'static str, Name), Arc<Source>>,
}

impl Gathered {
    fn add(&mut self, more: Infrastructure, source: &Arc<Source>, diagnostics: &mut Diagnostics) {
        let Self { infrastructure: all, origins } = self;
        all.sources.push(Arc::clone(source));
        all.incomplete |= more.incomplete;
        all.unreadable.extend(more.unreadable);
        let mut merge = Merge { origins, source, diagnostics };
        let twice = &mut all.unreadable;
        let kind = ("location", Cause::Location as fn(_) -> _);
        merge.section(kind, &mut all.locations, more.locations, &mut twice.locations);
        let kind = ("network", Cause::Network as fn(_) -> _);
        merge.section(kind, &mut all.networks, more.networks, &mut twice.networks);
        let kind = ("target", Cause::Target as fn(_) -> _);
        merge.section(kind, &mut all.targets, more.targets, &mut twice.targets);
        let kind = ("load-balancer", Cause::load_balancer as fn(_) -> _);
        let balancers = &mut twice.load_balancers;
        merge.section(kind, &mut all.load_balancers, more.load_balancers, balancers);
    }
}

struct Merge<'a> {
    origins: &'a mut BTreeMap<(&'static str, Name), Arc<Source>>,
    source: &'a Arc<Source>,
    diagnostics: &'a mut Diagnostics,
}

impl Merge<'_> {
    /// Adds one kind of things; of two with one name neither is taken, since nobody knows which
    /// one is meant.
    fn section<T>(
        &mut self,
        (kind, cause): (&'static str, fn(Name) -> Cause),
        all: &mut BTreeMap<Name, T>,
        more: BTreeMap<Name, T>,
        twice: &mut BTreeSet<Name>,
    ) {
        for (name, thing) in more {
            let key = (kind, name.clone());
            if let Some(first) = self.origins.get(&key) {
                let place = |source: &Source| source.place(&[kind, name.as_str()]);
                let message = format!("there are two things `{kind}.{name}`");
                let diagnostic = Diagnostic::error(Code::NameTaken, message)
                    .of(cause(name.clone()))
                    .at(place(self.source))
                    .remedy("rename one of the two, or remove it")
                    .related("the first one is here", place(first));
                self.diagnostics.push(diagnostic);
                all.remove(&name);
                twice.insert(name);
            } else {
                self.origins.insert(key, Arc::clone(self.source));
                all.insert(name, thing);
            }
        }
    }
}
