//! A host as near to NixOS as a container comes: the real systemd and the real Nix, a stand-in for nixpkgs whose systems
//! can be built and switched to, and a way in by SSH.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use deployix_backend_nixos::NixosTarget;
use deployix_core::spec::{Deployment, FileContent, ServiceBuilder, ServiceSpec};

use crate::container::Container;
use crate::support::nix::write_files;

/// The flake that stands for nixpkgs on a [`Host`], for `extensions.nixos.nixpkgs`.
pub(crate) const NIXPKGS: &str = "path:/opt/nixpkgs";

/// Where that lies in this repository.
pub(crate) const STAND_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/nixpkgs");

/// A service that answers on a port, and has a folder of its own.
pub(crate) fn witness(name: &str, port: u16, version: &str) -> ServiceBuilder {
    let program = FileContent::program(include_bytes!("witness.py").as_slice());
    let folder = format!("/var/lib/{name}");
    ServiceSpec::builder(["witness"])
        .nix(["python3"])
        .ship("witness", program)
        .state(&folder)
        .env("WITNESS_FOLDER", &folder)
        .env("WITNESS_PORT", &port.to_string())
        .env("VERSION", version)
        .endpoint("http", port)
        .ready_over_http("http", "/")
}

/// The files of target `rack1`, for a [`Host`].
pub(crate) fn flake(mut deployment: Deployment) -> BTreeMap<String, FileContent> {
    for target in deployment.infrastructure.targets.values_mut() {
        let settings = target.extensions.get::<NixosTarget>().expect("settings");
        let settings = NixosTarget { nixpkgs: NIXPKGS.to_owned(), ..settings.unwrap_or_default() };
        target.extensions.insert(&settings).expect("JSON");
    }
    let files = crate::support::files(deployment).into_iter();
    files.filter_map(|(path, file)| Some((path.strip_prefix("rack1/")?.to_owned(), file))).collect()
}

/// A running host, removed when dropped.
///
/// What it can do as a container (`shell`, `copy`, `wait_for`) it can do here.
pub(crate) struct Host {
    container: Container,
    /// Its key, what is known of it, and how it is reached.
    folder: tempfile::TempDir,
    address: std::net::IpAddr,
}

impl Host {
    /// Starts a host of its own and waits until it lets one in.
    pub(crate) fn start(what: &str) -> Self {
        let container = Container::start(what);
        let folder = tempfile::tempdir().expect("a folder");
        let machine = tempfile::tempdir().expect("a folder");
        let nixpkgs = machine.path().join("opt/nixpkgs");
        copy_folder(Path::new(STAND_IN), &nixpkgs);
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "deployix-test", "-f"])
            .arg(&key)
            .output()
            .expect("ssh-keygen is needed by this test: run scripts/test, which installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let login = machine.path().join("root/.ssh");
        std::fs::create_dir_all(&login).expect("a folder");
        std::fs::copy(key.with_extension("pub"), login.join("authorized_keys")).expect("copied");
        container.copy(machine.path());
        container.shell("chmod 700 /root /root/.ssh && chmod 600 /root/.ssh/authorized_keys");

        let address = container.address();
        let host = Self { container, folder, address };
        let public = host.shell("cat /etc/ssh/ssh_host_ed25519_key.pub");
        std::fs::write(host.known_hosts(), format!("{address} {public}")).expect("written");
        let config = format!(
            "Host *\n  User root\n  BatchMode yes\n  IdentitiesOnly yes\n  IdentityFile {}\n  \
             UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n  ConnectTimeout 10\n",
            host.key().display(),
            host.known_hosts().display()
        );
        std::fs::write(host.ssh_config(), config).expect("written");
        host.wait_for("systemctl is-active --quiet ssh.service");
        host
    }

    /// Where SSH reaches it: `root@` and its address.
    pub(crate) fn destination(&self) -> String {
        format!("root@{}", self.address)
    }

    /// Its address.
    pub(crate) fn address(&self) -> std::net::IpAddr {
        self.address
    }

    /// The private key that it lets in.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// A file of the form of `known_hosts` with its key alone.
    pub(crate) fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    /// A file for `ssh -F`, with all of this.
    pub(crate) fn ssh_config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// Runs a shell script over SSH, whatever comes of it.
    pub(crate) fn ssh(&self, script: &str) -> Output {
        Command::new("ssh")
            .arg("-F")
            .arg(self.ssh_config())
            .args([&self.destination(), script])
            .output()
            .expect("ssh is needed by this test: run scripts/test, which installs it")
    }

    /// Puts generated files below a folder of the host, in place of what was there.
    pub(crate) fn put(&self, files: &BTreeMap<String, FileContent>, to: &str) {
        let machine = tempfile::tempdir().expect("a folder");
        write_files(files, &machine.path().join(to.trim_start_matches('/')));
        self.shell(&format!("rm -rf {to}"));
        self.copy(machine.path());
    }

    /// Which process a unit is, and since when.
    pub(crate) fn running(&self, unit: &str) -> String {
        let what = "ActiveState,MainPID,ExecMainStartTimestampMonotonic";
        self.shell(&format!("systemctl show -p {what} {unit}"))
    }

    /// Makes it run a system of its own that has nothing to do with any deployment.
    pub(crate) fn install(&self) {
        let system = "nixpkgs.lib.nixosSystem { modules = [ { networking.hostName = \"installed\"; \
                      networking.firewall.enable = true; nixpkgs.hostPlatform = \"x86_64-linux\"; } ]; }";
        let flake = format!(
            "{{ inputs.nixpkgs.url = \"{NIXPKGS}\"; \
             outputs = {{ nixpkgs, ... }}: {{ nixosConfigurations.installed = {system}; }}; }}"
        );
        let flake = FileContent::plain(flake);
        self.put(&BTreeMap::from([("flake.nix".to_owned(), flake)]), "/srv/installed");
        let system = self.build_system("/srv/installed", "installed");
        self.shell(&format!(
            "nix-env --profile /nix/var/nix/profiles/system --set {system} && \
             {system}/bin/switch-to-configuration switch"
        ));
    }

    /// Builds a machine of a flake on the host and gives its path in the store.
    pub(crate) fn build_system(&self, flake: &str, machine: &str) -> String {
        self.build(flake, &format!("nixosConfigurations.{machine}.config.system.build.toplevel"))
    }

    /// Builds an output of a flake on the host and gives its path in the store.
    pub(crate) fn build(&self, flake: &str, output: &str) -> String {
        let what = format!("path:{flake}#{output}");
        self.shell(&format!("nix build --no-link --print-out-paths '{what}'")).trim().to_owned()
    }
}

impl std::ops::Deref for Host {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.container
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a kind").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}
