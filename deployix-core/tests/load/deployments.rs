//! Deployments of several files: what is gathered, what is missing, and what stands twice.

use std::{fs, path::Path};

use deployix_core::{
    BackendId,
    backend::{MemoryBackend, Registry},
    diagnostic::{Code, Severity},
    load::{load, load_catalog, parse_deployment},
    spec::Deployment,
    topology::{Assignments, place, resolve},
};
use tempfile::TempDir;

use crate::toml;

pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// Loads a folder; findings name files relative to it.
fn read(path: &Path) -> (Option<Deployment>, Vec<String>) {
    let loaded = load(path);
    for finding in &loaded.diagnostics {
        assert!(finding.place.is_some(), "{finding}");
    }
    let prefix = format!("{}/", path.display());
    let findings = loaded.diagnostics.to_string().replace(&prefix, "");
    (loaded.value, findings.lines().map(str::to_owned).collect())
}

const WEB: &str = "version = 1\n[functionality.web]\nservice.start = [\"web\"]\n";

#[test]
fn one_file_may_hold_everything() {
    let file = toml(
        "version = 1\nname = \"all\"\n[functionality.web]\nservice.start = [\"web\"]\n\
         [target.box]\nbackend = \"docker\"\n[network.n]\n",
    );
    let read = parse_deployment(&file, None);
    assert_eq!(read.diagnostics.to_string(), "");
    let deployment = read.value.unwrap();
    assert_eq!(deployment.catalogs.len(), 1);
    assert_eq!(deployment.infrastructure.targets.len(), 1);
    let source = deployment.catalogs[0].source.as_ref().unwrap();
    assert_eq!(source.place(&["functionality", "web"]).unwrap().to_string(), "x.toml:3:16");
}

#[test]
fn a_missing_catalog_is_told_where_it_is_named_and_the_rest_is_loaded() {
    let folder = folder(&[
        ("deployment.toml", "version = 1\nname = \"x\"\ncatalogs = [\"gone\", \"a\", \"b.txt\"]\n"),
        ("a/deployix.yaml", "version: 1\nfunctionality: {web: {service: {start: [web]}}}\n"),
        ("b.txt", ""),
    ]);
    let (deployment, found) = read(folder.path());
    let deployment = deployment.unwrap();
    assert!(deployment.incomplete);
    let count = deployment.catalogs.iter().map(|catalog| catalog.functionalities.len());
    assert_eq!(count.sum::<usize>(), 1);
    assert_eq!(
        found,
        [
            "deployment.toml:3:13: error[file-unreadable]: cannot read `gone`: No such file or \
             directory (os error 2); correct the path, or make the file",
            "deployment.toml:3:26: error[file-unreadable]: `b.txt` is of no known format; let its \
             name end in .toml, .yaml, .yml or .json",
        ]
    );
}

#[test]
fn a_folder_with_two_spec_files_or_none_is_told() {
    let folder = folder(&[
        ("deployment.json", "{\"version\": 1, \"name\": \"x\",\n\"catalogs\": [\"a\", \"b\"]}"),
        ("a/deployix.yaml", ""),
        ("a/deployix.toml", ""),
        ("b/readme", ""),
    ]);
    let (_, found) = read(folder.path());
    assert_eq!(
        found,
        [
            "deployment.json:2:14: error[file-unreadable]: the folder `a` has `a/deployix.toml` \
             and `a/deployix.yaml`; keep one of them, or name the file instead of the folder",
            "deployment.json:2:19: error[file-unreadable]: the folder `b` has no \
             `deployix.toml`, .yaml, .yml or .json; name the file itself",
        ]
    );
}

#[test]
fn a_catalog_that_makes_no_sense_leaves_the_deployment_incomplete() {
    let folder = folder(&[
        ("deployment.toml", "version = 1\nname = \"x\"\ncatalogs = [\"a.toml\", \"b.toml\"]\n"),
        ("a.toml", WEB),
        ("b.toml", "version = \n"),
    ]);
    let (deployment, found) = read(folder.path());
    assert!(deployment.unwrap().incomplete);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("b.toml:1:"), "{found:?}");
}

#[test]
fn what_is_not_text_is_told_with_its_place() {
    let folder =
        folder(&[("deployment.toml", "version = 1\nname = \"x\"\ncatalogs = [\"a.toml\"]\n")]);
    fs::write(folder.path().join("a.toml"), b"version = 1\n# caf\xe9\n").unwrap();
    let (_, found) = read(folder.path());
    assert_eq!(
        found,
        ["a.toml:2:6: error[file-unreadable]: `a.toml` is not UTF-8 text; deployment.toml:3:13: \
          named here; save it as UTF-8"]
    );
}

#[test]
fn a_file_named_twice_is_told_by_whatever_path() {
    let folder = folder(&[
        (
            "deployment.toml",
            "version = 1\nname = \"x\"\ncatalogs = [\"a.toml\", \"./b/../a.toml\", \"b\"]\n",
        ),
        ("a.toml", WEB),
        ("b/deployix.toml", "version = 1\n"),
    ]);
    let (deployment, found) = read(folder.path());
    assert_eq!(
        found,
        ["deployment.toml:3:23: error[name-taken]: `./b/../a.toml` is the same file as `a.toml`; \
          deployment.toml:3:13: first named here; remove one of the two"]
    );
    assert_eq!(
        deployment.unwrap().catalogs.iter().map(|c| c.functionalities.len()).sum::<usize>(),
        1
    );
}

#[test]
fn of_two_targets_with_one_name_neither_is_taken() {
    let folder = folder(&[
        (
            "deployment.toml",
            "version = 1\nname = \"x\"\ninfrastructure = [\"a.toml\", \"b.json\"]\n",
        ),
        (
            "a.toml",
            "version = 1\n[target.box]\nbackend = \"docker\"\n[target.other]\nbackend = \"x\"\n",
        ),
        ("b.json", "{\"version\": 1, \"target\": {\n\"box\": {\"backend\": \"docker\"}}}"),
    ]);
    let (deployment, found) = read(folder.path());
    assert_eq!(
        found,
        [
            "b.json:2:1: error[name-taken]: there are two things `target.box`; a.toml:2:9: the first \
          one is here; rename one of the two, or remove it"
        ]
    );
    let infrastructure = deployment.unwrap().infrastructure;
    assert_eq!(infrastructure.targets.len(), 1);
    let unreadable = infrastructure.unreadable.targets.iter().map(|name| name.as_str());
    assert_eq!(unreadable.collect::<Vec<_>>(), ["box"]);
    assert_eq!(infrastructure.sources.len(), 3);
}

#[test]
fn infrastructure_that_cannot_be_read_is_not_taken_for_none() {
    for text in ["version = 1\n[target.A]\n", "version = 1\n[targets]\n", "version", "version = 2"]
    {
        let folder = folder(&[
            ("deployment.toml", "version = 1\nname = \"x\"\ninfrastructure = [\"a.toml\"]\n"),
            ("a.toml", text),
        ]);
        let (deployment, found) = read(folder.path());
        assert!(deployment.unwrap().infrastructure.incomplete, "{text}");
        assert!(!found.is_empty());
    }
}

#[test]
fn nothing_runs_on_this_machine_because_infrastructure_could_not_be_read() {
    let registry = Registry::new().with(MemoryBackend::named(BackendId::new("docker").unwrap()));
    let placed = |infrastructure: &str| {
        let folder = folder(&[
            (
                "deployment.toml",
                "version = 1\nname = \"x\"\ncatalogs = [\"c.toml\"]\ninfrastructure = [\"i.toml\"]\n",
            ),
            ("c.toml", WEB),
            ("i.toml", infrastructure),
        ]);
        let deployment = load(folder.path()).value.unwrap();
        let staged = resolve(deployment, &registry)
            .then(|resolved| place(resolved, &Assignments::default(), &registry));
        staged.value.assignments().len()
    };
    assert_eq!(placed("version = 1\n"), 1);
    for unreadable in ["version = 1\n[target.a]\n", "version = 1\n[targets.a]\n", "version = "] {
        assert_eq!(placed(unreadable), 0, "{unreadable}");
    }
}

#[test]
fn a_certificate_that_is_not_there_is_only_a_warning() {
    let folder = folder(&[(
        "deployment.toml",
        "version = 1\nname = \"x\"\nca = { certificate = \"ca.crt\", key = \"ca.key\" }\n",
    )]);
    let loaded = load(folder.path());
    let finding = loaded.diagnostics.iter().next().unwrap();
    assert_eq!((finding.severity, finding.code), (Severity::Warning, Code::FileUnreadable));
    assert_eq!(finding.place.as_ref().map(|place| (place.line, place.column)), Some((3, 22)));
    assert_eq!(loaded.value.unwrap().certificate_authority.unwrap().certificate, None);
}

#[test]
fn a_deployment_with_anything_wrong_in_its_own_settings_is_none_and_the_rest_is_told_too() {
    let folder = folder(&[
        ("deployment.toml", "version = 1\nname = \"x\"\ncatalogs = [\"a.toml\"]\nplace.web = 3\n"),
        ("a.toml", "version = 1\n[functionality.web]\nwhat = 3\nservice.start = []\n"),
    ]);
    let (deployment, found) = read(folder.path());
    assert!(deployment.is_none());
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("a.toml:3:1:") && found[1].starts_with("deployment.toml:4:13:"));
}

#[test]
fn a_deployment_that_is_not_there_is_told() {
    let folder = folder(&[]);
    let missing = folder.path().join("deployment.toml");
    for path in [missing.as_path(), folder.path()] {
        let loaded = load(path);
        assert!(loaded.value.is_none());
        let finding = loaded.diagnostics.iter().next().unwrap();
        assert_eq!(finding.code, Code::FileUnreadable);
        assert_eq!(*finding.place.as_ref().unwrap().file, path.display().to_string());
    }
    assert!(load_catalog(&missing).value.incomplete);
}

#[test]
fn catalogs_come_in_the_order_in_which_they_are_named() {
    let names: Vec<String> = (0..20).map(|n| format!("c{:02}", (n * 7) % 20)).collect();
    let texts: Vec<(String, String)> = names
        .iter()
        .map(|name| {
            let text = format!("version = 1\n[functionality.{name}]\nservice.start = [\"x\"]\n");
            (format!("{name}/deployix.toml"), text)
        })
        .collect();
    let list = format!("version = 1\nname = \"x\"\ncatalogs = {names:?}\n");
    let mut files = vec![("deployment.toml", list.as_str())];
    files.extend(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let folder = folder(&files);
    let (deployment, found) = read(folder.path());
    assert_eq!(found, Vec::<String>::new());
    let catalogs = deployment.unwrap().catalogs;
    let read: Vec<_> =
        catalogs.iter().map(|catalog| catalog.functionalities[0].name().as_str()).collect();
    assert_eq!(read, names);
}

#[test]
fn atomic_sets_are_read_and_what_is_wrong_in_them_is_told_where_it_is() {
    let functionalities = "[functionality.web]\nservice.start = [\"web\"]\n\
                           [functionality.db]\nservice.start = [\"db\"]\n";
    let file = |atomic: &str| {
        toml(&format!("version = 1\nname = \"all\"\natomic = {atomic}\n{functionalities}"))
    };
    let read = |atomic: &str| parse_deployment(&file(atomic), None);
    let good = read("[[\"web\", \"db\"]]").complete().unwrap().unwrap();
    let set: Vec<_> = good.atomic[0].iter().map(|name| name.as_str()).collect();
    assert_eq!(set, ["db", "web"]);

    for wrong in ["[[\"web\", \"web\"]]", "[\"web\"]", "[[\"Web\"]]"] {
        let read = read(wrong);
        assert!(read.value.is_none(), "{wrong}");
        let place = read.diagnostics.iter().next().unwrap().place.clone().unwrap();
        assert_eq!(place.line, 3, "{wrong}");
    }
    // Whether the names are anybody's is known once all catalogs are there.
    let registry = Registry::new().with(MemoryBackend::new());
    let unknown = read("[[\"web\", \"db\"], [\"web\", \"bd\"]]").complete().unwrap().unwrap();
    let found = resolve(unknown, &registry).diagnostics.to_string();
    assert!(found.contains("x.toml:3:26: error[reference-unknown]: `bd`"), "{found}");
    assert!(found.contains("x.toml:3:26: error[values-conflict]: `web`"), "{found}");
    assert!(found.contains("x.toml:3:11: the first one is here"), "{found}");
}
