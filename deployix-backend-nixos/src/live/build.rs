//! Builds a system on this machine, and copies it to the one that it is for.

use deployix_core::backend::{BackendError, ErrorKind};
use deployix_transport::{Command, Entry, Local, Transport, put};

use super::{
    command::{error, failed, followed, script},
    host::Host,
};

/// What `nix` printed as the path of what it built.
pub(super) fn path(built: &[u8], host: &str) -> Result<String, BackendError> {
    let path = String::from_utf8_lossy(built).trim().to_owned();
    if path.starts_with("/nix/store/") && !path.contains(char::is_whitespace) {
        return Ok(path);
    }
    let message = format!("{host}: nix built {path:?}, which is no path of its store");
    Err(BackendError::permanent(ErrorKind::Unexpected, "build", message))
}

/// Builds a version here, and copies what came of it to the host.
pub(super) async fn here(
    host: &Host,
    version: &str,
    machine: &str,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<String, BackendError> {
    let folder = tempfile::tempdir().map_err(|cause| {
        let message = format!("no folder to build in can be made: {cause}");
        BackendError::permanent(ErrorKind::Unavailable, "build", message)
    })?;
    let flake = folder.path().to_string_lossy().into_owned();
    let run = |operation, transport: &'static str, command| async move {
        let transport: &dyn Transport = if transport == "here" { &Local } else { &*host.transport };
        let output = followed(transport, command, tell).await;
        let output = output.map_err(|cause| error(operation, cause))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(failed(operation, transport.host(), &output))
        }
    };
    let on_host = format!("/var/lib/deployix/system/{version}");
    let pack = Command::new("tar").args(["-c", "-C", &format!("{on_host}/flake"), "."]);
    let packed = run("fetch flake", "there", pack).await?;
    let unpack = Command::new("tar").args(["-x", "-C", &flake]).stdin(packed);
    run("fetch flake", "here", unpack).await?;

    let features = ["--extra-experimental-features", "nix-command flakes"];
    let what =
        format!("path:{flake}#nixosConfigurations.\"{machine}\".config.system.build.toplevel");
    let build = Command::new("nix").args(features).args([
        "build",
        "--print-build-logs",
        "--print-out-paths",
        "--no-link",
        &what,
    ]);
    let built = path(&run("build", "here", build).await?, "this machine")?;
    if host.address != "local" {
        let (store, options) = store(&host.address);
        let copy = Command::new("env").arg(format!("NIX_SSHOPTS={options}")).arg("nix");
        let copy = copy.args(features).args(["copy", "--to", &store, &built]);
        run("copy", "here", copy).await?;
    }
    // What keeps it until it is the machine's own system.
    let keep =
        "ln -sfn \"$2\" \"$1/result\" && nix-store --add-root \"$1/result\" --realise \"$2\"";
    run("keep", "there", script(keep, "keep", &[&on_host, &built])).await?;
    // The next build takes the same inputs.
    if let Ok(lock) = std::fs::read(folder.path().join("flake.lock")) {
        let entry = Entry::file(format!("{on_host}/flake/flake.lock"), lock, 0o644);
        put(&*host.transport, &[entry]).await.map_err(|cause| error("put flake.lock", cause))?;
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
