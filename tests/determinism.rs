#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
//! Same specs, same bytes: whoever runs it, how often, and in whatever order things are written.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use deployix::core::{
    load::{Format, SpecFile, parse_deployment},
    output::{Leftovers, write_files},
    plan::{Compiled, compile_anew, plan},
};

/// The same catalogs on each backend.
const DEPLOYMENTS: [(&str, &str); 3] = [
    ("docker", "deployment-docker.toml"),
    ("ec2", "deployment.toml"),
    ("nixos", "deployment-nixos.toml"),
];

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra")
}

/// Everything that leaves the pure stages: the files as they are written, with their modes, and
/// all resources and the plan as JSON.
#[derive(PartialEq)]
struct Bytes {
    files: BTreeMap<PathBuf, (Vec<u8>, u32)>,
    resources: String,
    plan: String,
}

fn bytes(compiled: &Compiled) -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    write_files(&compiled.files(), folder.path(), Leftovers::Remove).unwrap();
    let plan = plan(compiled, &<_>::default(), &deployix::registry(), &<_>::default());
    Bytes {
        files: files(folder.path()),
        resources: serde_json::to_string(compiled.resources()).unwrap(),
        plan: serde_json::to_string(&plan).unwrap(),
    }
}

fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            found.insert(name, (fs::read(&path).unwrap(), mode));
        }
    }
    found
}

/// Says where two results differ, instead of printing both.
fn assert_same(one: &Bytes, other: &Bytes, what: &str) {
    let paths = one.files.keys().chain(other.files.keys());
    let differing: Vec<_> =
        paths.filter(|path| one.files.get(*path) != other.files.get(*path)).collect();
    assert!(differing.is_empty(), "{what}: these files differ: {differing:?}");
    assert!(one.resources == other.resources, "{what}: the resources differ");
    assert!(one.plan == other.plan, "{what}: the plans differ");
}

#[test]
fn every_backend_that_is_turned_on_is_among_the_deployments() {
    let registry = deployix::registry();
    let known: Vec<_> = registry.backends().map(|id| id.as_str()).collect();
    assert_eq!(known, DEPLOYMENTS.map(|(backend, _)| backend));
}

#[test]
fn two_runs_write_identical_bytes() {
    for (backend, file) in DEPLOYMENTS {
        let file = example().join("ops").join(file);
        let (first, second) = (support::compiled(&file), support::compiled(&file));
        assert!(!first.files().is_empty() && !first.resources().is_empty(), "{backend}");
        assert_same(&bytes(&first), &bytes(&second), backend);
    }
}

#[test]
fn functionalities_and_catalogs_in_another_order_give_identical_bytes() {
    for (backend, file) in DEPLOYMENTS {
        let file = example().join("ops").join(file);
        let straight = bytes(&support::compiled(&file));
        for turn in 0..4 {
            let mut deployment = support::loaded(&file);
            deployment.catalogs.rotate_left(turn % 2);
            for catalog in &mut deployment.catalogs {
                let count = catalog.functionalities.len();
                catalog.functionalities.rotate_left(turn % count);
                catalog.functionalities.reverse();
            }
            let compiled = compile_anew(deployment, &deployix::registry()).complete().unwrap();
            assert_same(&straight, &bytes(&compiled), &format!("{backend}, turn {turn}"));
        }
    }
}

/// Maps whose order is one by chance have another one in each run, of which nothing may be seen.
#[test]
fn findings_are_the_same_in_each_run() {
    let mut text = String::from("version = 1\nname = \"alike\"\ntarget.box.backend = \"docker\"\n");
    for letter in 'a'..='h' {
        text += &format!(
            "[functionality.db-{letter}]\nfqdn = \"db-{letter}.example.com\"\n\
             upstream-hosts = [\"db-x.example.com\", \"db-{letter}{letter}.example.com\"]\n\
             service = {{ start = [\"{letter}\"], software.debian = [\"hello\"] }}\n"
        );
    }
    let file = SpecFile::new("deployment.toml", Format::Toml, text);
    let told = || {
        let loaded = parse_deployment(&file, None);
        compile_anew(loaded.value.unwrap(), &deployix::registry()).diagnostics.to_string()
    };
    let first = told();
    assert_eq!(first.matches("did you mean db-").count(), 16, "{first}");
    for _ in 0..20 {
        assert_eq!(told(), first);
    }
}

/// The specs are written anew as JSON, with the keys of every table and the lists of files in an
/// order that nobody chose.
#[test]
fn spec_files_in_another_order_and_format_give_identical_bytes() {
    for seed in 1..6 {
        let folder = tempfile::tempdir().unwrap();
        shuffled(&example(), folder.path(), &mut Shuffle(seed));
        for (backend, file) in DEPLOYMENTS {
            let straight = bytes(&support::compiled(&example().join("ops").join(file)));
            let file = folder.path().join("ops").join(file.replace(".toml", ".json"));
            let compiled = support::compiled(&file);
            assert_same(&straight, &bytes(&compiled), &format!("{backend}, seed {seed}"));
        }
    }
}

/// A small generator of numbers that look random, always the same ones for a seed
/// (Marsaglia, "Xorshift RNGs", 2003).
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.next(at + 1));
        }
    }
}

/// Copies a folder, with every TOML file as a shuffled JSON file.
fn shuffled(from: &Path, to: &Path, shuffle: &mut Shuffle) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        if path.is_dir() {
            shuffled(&path, &to.join(name), shuffle);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            let table: toml::Table = toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let json = json(&table.into(), "", shuffle).replace(".toml\"", ".json\"");
            fs::write(to.join(name).with_extension("json"), json).unwrap();
        } else {
            // Keeps whether it is a program.
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A value as JSON, its tables in an order that nobody chose; lists keep theirs where it means
/// something.
fn json(value: &toml::Value, key: &str, shuffle: &mut Shuffle) -> String {
    match value {
        toml::Value::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            shuffle.shuffle(&mut entries);
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| {
                    format!(
                        "{}: {}",
                        serde_json::to_string(key).unwrap(),
                        json(value, key, shuffle)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        toml::Value::Array(items) => {
            let mut items: Vec<_> = items.iter().collect();
            if ["catalogs", "infrastructure", "upstream-hosts"].contains(&key) {
                shuffle.shuffle(&mut items);
            }
            let items: Vec<_> = items.into_iter().map(|item| json(item, "", shuffle)).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => serde_json::to_string(scalar).unwrap(),
    }
}

#[test]
fn the_shuffling_shuffles() {
    let text = "a = 1\nb = 2\nc = 3\nd = 4\ncatalogs = [\"x\", \"y\", \"z\"]\n";
    let table: toml::Table = toml::from_str(text).unwrap();
    let texts: Vec<_> =
        (1..6).map(|seed| json(&table.clone().into(), "", &mut Shuffle(seed))).collect();
    assert!(texts.iter().any(|text| *text != texts[0]), "{texts:?}");
}
