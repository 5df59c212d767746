//! The hydra deployment of `examples/hydra` in three places: where everything runs there, what it
//! reaches and over what, what would be made, and the files that make it.
//!
//! ```console
//! $ cargo run --example hydra
//! ```

use std::{
    collections::BTreeSet,
    env, fmt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use deployix::core::{
    backend::Registry,
    diagnostic::{Code, Diagnostic, Diagnostics},
    history::Heads,
    load::load,
    output::{GraphDocument, Leftovers, write_files},
    plan::{Only, Plan, PlannedStep, compile_anew, plan},
};

/// The same catalogs, tied to three infrastructures: the backend, the file in `examples/hydra/ops`,
/// and one of the compiled files, to look at.
const PLACES: [[&str; 3]; 3] = [
    ["ec2", "deployment.toml", "ec2-singapore/resources.json"],
    ["docker", "deployment-docker.toml", "box/compose.yaml"],
    ["nixos", "deployment-nixos.toml", "vault/modules/hydra-db.nix"],
];

fn main() -> ExitCode {
    let registry = deployix::registry();
    let mut code = ExitCode::SUCCESS;
    for [backend, file, look_at] in PLACES {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops").join(file);
        let folder = target_folder().join("hydra").join(backend);
        println!("━━━ {backend}: {}\n", shown(&file).display());
        match compiled(&file, &registry, &folder) {
            Ok(report) => print!("{report}, such as {look_at}\n\n"),
            Err(diagnostics) => {
                eprintln!("{diagnostics}");
                code = ExitCode::FAILURE;
            }
        }
    }
    println!(
        "Next: change a file below examples/hydra and run this again, or plan it step by step:"
    );
    // What talks to AWS takes minutes to build, and a plan needs none of it.
    println!(
        "  cargo run -p deployix-cli --no-default-features -- plan examples/hydra/ops/deployment.toml"
    );
    code
}

/// What there is to say about one deployment.
struct Report {
    targets: BTreeSet<String>,
    /// Who runs where and reaches whom over what.
    graph: String,
    plan: Plan,
    files: usize,
    folder: PathBuf,
}

/// Compiles and plans a deployment and writes its files below a folder.
fn compiled(file: &Path, registry: &Registry, folder: &Path) -> Result<Report, Diagnostics> {
    let nothing = || Diagnostic::error(Code::FileUnreadable, "there is nothing to deploy");
    let deployment = load(file).complete()?.ok_or_else(nothing)?;
    let compiled = compile_anew(deployment, registry).complete()?;
    let written = write_files(&compiled.files(), folder, Leftovers::Remove)
        .map_err(|error| error.diagnostics())?;
    let targets = compiled.connected().sites().map(|site| site.target.name.to_string());
    Ok(Report {
        targets: targets.collect(),
        graph: GraphDocument::of(compiled.connected()).to_text(),
        plan: plan(&compiled, &Heads::default(), registry, &Only::All),
        files: written.files.len(),
        folder: folder.to_owned(),
    })
}

impl Report {
    /// What a step makes: its resource's id without what its line says already.
    fn what(&self, step: &PlannedStep) -> String {
        let owner = step.owner().to_string();
        let said = |part: &&str| {
            *part == "functionality"
                || self.targets.contains(*part)
                || owner.split(' ').any(|word| word == *part)
        };
        let parts = step.id().as_str().split('/').skip(1);
        parts.filter(|part| !said(part)).collect::<Vec<_>>().join("/")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut owners: Vec<(String, Vec<String>)> = Vec::new();
        for step in &self.plan.steps {
            let owner = step.owner().to_string();
            match owners.iter_mut().find(|(other, _)| *other == owner) {
                Some((_, made)) => made.push(self.what(step)),
                None => owners.push((owner, vec![self.what(step)])),
            }
        }
        let width = owners.iter().map(|(owner, _)| owner.chars().count()).max().unwrap_or(0);

        writeln!(f, "{}\nplan: {} resources to create", self.graph, self.plan.steps.len())?;
        for (owner, made) in &owners {
            writeln!(f, "  {owner:width$}  {:2}  {}", made.len(), shortened(&made.join(", ")))?;
        }
        write!(f, "\nwritten: {} files below {}", self.files, shown(&self.folder).display())
    }
}

/// As much of a text as fits on a line.
fn shortened(text: &str) -> String {
    const MOST: usize = 56;
    let mut short: String = text.chars().take(MOST).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// A path as somebody in the current folder would write it.
fn shown(path: &Path) -> &Path {
    let here = env::current_dir();
    here.ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// The folder that Cargo builds into: this program is `TARGET/PROFILE/examples/hydra`.
fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).unwrap_or(Path::new("target")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_compiled_planned_and_written() {
        let folder = tempfile::tempdir().expect("a folder");
        for [backend, file, look_at] in PLACES {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hydra/ops").join(file);
            let folder = folder.path().join(backend);
            let report = compiled(&file, &deployix::registry(), &folder).expect("no diagnostic");
            assert!(folder.join(look_at).is_file(), "{look_at}");
            let report = report.to_string();
            for line in ["→ hydra-db", "postgresql 5432/tcp", "resources to create", "written: "]
            {
                assert!(report.contains(line), "{line:?} in {report}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("deployment.toml");
        std::fs::write(&file, "version = 1\nname = \"x\"\ncatalog = []\n").expect("written");
        let outcome = compiled(&file, &deployix::registry(), &folder.path().join("out"));
        let told = outcome.err().expect("a diagnostic").to_string();
        assert!(told.contains("deployment.toml:3:1: error[key-unknown]"), "{told}");
        assert!(!folder.path().join("out").exists());
    }
}
