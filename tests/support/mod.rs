//! The way from the example's spec files to what the backends write.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use deployix::core::{
    Name,
    load::load,
    plan::{Compiled, compile},
    topology::{Assignments, connect, place, resolve},
};

/// Compiles a deployment, which gives no diagnostic.
pub(crate) fn compiled(deployment: &Path) -> Compiled {
    let registry = deployix::registry();
    let loaded = load(deployment);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics);
    let compiled = resolve(loaded.value.unwrap(), &registry)
        .then(|resolved| place(resolved, &Assignments::new(), &registry))
        .then(|placed| connect(placed, &registry))
        .then(|connected| compile(connected, &registry, None));
    assert!(compiled.diagnostics.is_empty(), "{}", compiled.diagnostics);
    compiled.value
}

/// Writes what was compiled for one target to a folder.
#[allow(dead_code, reason = "not every test writes")]
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
