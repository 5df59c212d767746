//! The real Nix.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deployix_core::spec::FileContent;
use serde_json::Value;

/// Evaluates an expression with `nix-instantiate` and gives its value as JSON.
///
/// Panics, saying what to do, where there is no Nix: a test that needs it must not pass without it.
pub(crate) fn evaluate(expression: &str) -> Result<Value, String> {
    run(expression, &["--store", "dummy://"])
}

fn run(expression: &str, options: &[&str]) -> Result<Value, String> {
    let mut nix = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--show-trace"])
        .args(options)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nix-instantiate is needed by this test: run scripts/test, which installs it");
    let mut stdin = nix.stdin.take().expect("piped");
    let text = expression.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = nix.wait_with_output().expect("nix-instantiate runs");
    writer.join().expect("writer").expect("nix-instantiate reads its input");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Writes generated files below a folder.
pub(crate) fn write_files(files: &BTreeMap<String, FileContent>, folder: &Path) {
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, &content.bytes).expect("written");
        let mode = if content.executable { 0o755 } else { 0o644 };
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
    }
}

/// Parses a file with `nix-instantiate`, and gives what is wrong with it.
pub(crate) fn parse(file: &Path) -> Result<(), String> {
    let output = Command::new("nix-instantiate")
        .arg("--parse")
        .arg(file)
        .output()
        .expect("nix-instantiate is needed by this test: run scripts/test, which installs it");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Unit files by name; one that is only an override of systemd's own may have no text.
pub(crate) type Units = BTreeMap<String, Option<String>>;

/// Generated files in a folder, beside a store of their own.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    pub(crate) fn new(files: &BTreeMap<String, FileContent>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write_files(files, &folder.path().join("generated"));
        Self { folder }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join("generated").join(path)
    }

    /// What a path in the store stands for.
    pub(crate) fn stored(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Evaluates a configuration against the options, and gives its settings.
    pub(crate) fn settings(&self, configuration: &str) -> Result<Value, String> {
        self.evaluate(&self.path(configuration).display().to_string(), "config: config")
    }

    /// The unit files of a configuration, by name.
    pub(crate) fn units(&self, configuration: &str) -> Result<BTreeMap<String, String>, String> {
        self.units_of(&self.path(configuration).display().to_string())
    }

    /// A machine of a VM test, as a module.
    pub(crate) fn node(&self, test: &str, node: &str) -> String {
        format!("({}).nodes.{node}", self.test(test))
    }

    /// The argument of `runNixOSTest` in a VM test.
    pub(crate) fn test(&self, test: &str) -> String {
        let pkgs = support("nixpkgs/pkgs.nix");
        let test = self.path(test);
        format!("import {} {{ pkgs = import {} {{ }}; }}", test.display(), pkgs.display())
    }

    /// The unit files that a whole nixpkgs makes of the machines of a target's flake, all of them;
    /// none where `DEPLOYIX_NIXPKGS` does not name its folder.
    pub(crate) fn systems(&self, target: &str) -> Option<BTreeMap<String, Units>> {
        let Ok(nixpkgs) = std::env::var("DEPLOYIX_NIXPKGS") else {
            eprintln!("DEPLOYIX_NIXPKGS is not set: no whole nixpkgs evaluates the flakes");
            return None;
        };
        // A path of Nix does not end in a slash.
        let nixpkgs = nixpkgs.trim_end_matches('/');
        let text = format!(
            "let lib = import ({nixpkgs} + \"/lib\"); \
             nixosSystem = system: import ({nixpkgs} + \"/nixos/lib/eval-config.nix\") \
               ({{ inherit lib; system = null; }} // system); \
             flake = (import {}).outputs {{ nixpkgs.lib = lib // {{ inherit nixosSystem; }}; }}; \
             in builtins.mapAttrs \
               (_: system: builtins.mapAttrs (_: unit: unit.text) system.config.systemd.units) \
               flake.nixosConfigurations",
            self.path(&format!("{target}/flake.nix")).display()
        );
        let units = self.run(&text).unwrap_or_else(|error| panic!("{error}"));
        Some(serde_json::from_value(units).expect("unit files"))
    }

    /// The unit files of a module.
    pub(crate) fn units_of(&self, module: &str) -> Result<BTreeMap<String, String>, String> {
        let units =
            self.evaluate(module, &format!("import {}", support("nixpkgs/units.nix").display()))?;
        serde_json::from_value(units).map_err(|error| error.to_string())
    }

    /// Evaluates a module against the options, and gives what a function makes of its settings.
    pub(crate) fn evaluate(&self, module: &str, what: &str) -> Result<Value, String> {
        let nixpkgs = std::env::var("DEPLOYIX_NIXPKGS_LIB").unwrap_or_else(|_| "null".to_owned());
        let expression = format!(
            "({what}) (import {} {{ modules = [ ({module}) ]; nixpkgs = {nixpkgs}; }})",
            support("evaluate.nix").display(),
        );
        self.run(&expression)
    }

    fn run(&self, expression: &str) -> Result<Value, String> {
        let store = format!("local?root={}", self.folder.path().join("root").display());
        run(expression, &["--read-write-mode", "--store", &store])
    }
}

fn support(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(file)
}
