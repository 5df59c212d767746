//! The way from the example's spec files to what the backends write.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use deployix::core::{
    Name,
    diagnostic::Code,
    load::load,
    plan::{Compiled, compile_anew},
    spec::Deployment,
};

/// Loads a deployment, which gives no diagnostic.
pub(crate) fn loaded(deployment: &Path) -> Deployment {
    let loaded = load(deployment);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    loaded.value.unwrap()
}

/// Compiles a deployment, which gives no diagnostic but notes.
pub(crate) fn compiled(deployment: &Path) -> Compiled {
    let compiled = compile_anew(loaded(deployment), &deployix::registry());
    let mut told = compiled.diagnostics.iter();
    assert!(told.all(|it| it.code == Code::Noted), "{}", compiled.diagnostics);
    compiled.value
}

/// Writes what was compiled for one target to a folder.
pub(crate) fn write(compiled: &Compiled, target: &Name, folder: &Path) {
    for ((owner, path), content) in compiled.files() {
        if owner == target {
            let path = folder.join(path.as_str());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &content.bytes).unwrap();
            let mode = if content.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}
