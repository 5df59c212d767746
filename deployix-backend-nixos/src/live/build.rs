//! Builds on the machine that it is for, or here, from where it is copied.

use deployix_core::backend::{BackendError, ErrorKind};
use deployix_transport::{Command, Entry, Local, put};

use super::{
    command::{error, run, script},
    host::Host,
};

/// What `nix` printed as the path of what it built.
fn path(built: &[u8], host: &str) -> Result<String, BackendError> {
    let path = String::from_utf8_lossy(built).trim().to_owned();
    if path.starts_with("/nix/store/") && !path.contains(char::is_whitespace) {
        return Ok(path);
    }
    let message = format!("{host}: nix built {path:?}, which is no path of its store");
    Err(BackendError::permanent(ErrorKind::Unexpected, "build", message))
}

const BUILD: &str = include_str!("build.sh");

/// Builds an attribute of the flake in a folder of the host, there or here, and gives its path in
/// the store of the host.
pub(super) async fn built(
    host: &Host,
    folder: &str,
    what: &str,
    is_here: bool,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<String, BackendError> {
    if is_here {
        return here(host, folder, what, tell).await;
    }
    let command = script(BUILD, "build", &[folder, what]);
    path(&run(&*host.transport, "build", command, tell).await?, host.transport.host())
}

/// Builds here, and copies what came of it to the host.
async fn here(
    host: &Host,
    on_host: &str,
    what: &str,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<String, BackendError> {
    let folder = tempfile::tempdir().map_err(|cause| {
        let message = format!("no folder to build in can be made: {cause}");
        BackendError::permanent(ErrorKind::Unavailable, "build", message)
    })?;
    let flake = folder.path().join("flake");
    let there = &*host.transport;
    let pack = Command::new("tar").args(["-c", "-C", on_host, "flake"]);
    let packed = run(there, "fetch flake", pack, tell).await?;
    let unpack = Command::new("tar").arg("-x").arg("-C").arg(folder.path()).stdin(packed);
    run(&Local, "fetch flake", unpack, tell).await?;
    let command = script(BUILD, "build", &[&folder.path().to_string_lossy(), what]);
    let built = path(&run(&Local, "build", command, tell).await?, "this machine")?;
    if host.address != "local" {
        let (store, options) = store(&host.address);
        let copy = Command::new("env").arg(format!("NIX_SSHOPTS={options}")).arg("nix");
        let features = ["--extra-experimental-features", "nix-command flakes"];
        let copy = copy.args(features).args(["copy", "--no-check-sigs", "--to", &store, &built]);
        run(&Local, "copy", copy, tell).await?;
    }
    // What keeps it until it is in use.
    let keep = script(
        "ln -sfn \"$2\" \"$1/result\" && nix-store --add-root \"$1/result\" --realise \"$2\"",
        "keep",
        &[on_host, &built],
    );
    run(there, "keep", keep, tell).await?;
    // The next build takes the same inputs.
    if let Ok(lock) = std::fs::read(flake.join("flake.lock")) {
        let entry = Entry::file(format!("{on_host}/flake/flake.lock"), lock, 0o644);
        put(there, &[entry]).await.map_err(|cause| error("put flake.lock", cause))?;
    }
    Ok(built)
}

/// The store of a host as Nix names it, and what its SSH client has to be told besides: the port,
/// which not every release reads from the name.
fn store(address: &str) -> (String, String) {
    let given = std::env::var("NIX_SSHOPTS").unwrap_or_default();
    let host = address.strip_prefix("ssh://").unwrap_or(address);
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') =>
        {
            (format!("ssh-ng://{name}"), format!("-p {port} {given}"))
        }
        _ => (format!("ssh-ng://{host}"), given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_told_to_the_ssh_client() {
        let given = std::env::var("NIX_SSHOPTS").unwrap_or_default();
        assert_eq!(store("root@rack1"), ("ssh-ng://root@rack1".to_owned(), given.clone()));
        let (name, options) = store("ssh://root@rack1:2222");
        assert_eq!((name.as_str(), options), ("ssh-ng://root@rack1", format!("-p 2222 {given}")));
    }

    #[test]
    fn only_a_path_of_the_store_is_taken_for_one() {
        assert!(path(b"/nix/store/abc-nixos\n", "rack1").is_ok());
        for built in ["", "/etc/passwd", "/nix/store/a\n/nix/store/b\n"] {
            assert!(path(built.as_bytes(), "rack1").is_err(), "{built}");
        }
    }
}
