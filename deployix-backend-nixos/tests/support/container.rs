//! A machine with systemd and Nix, in a container.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

const IMAGE: &str = "deployix-test-systemd";

/// A running container, removed when dropped.
pub(crate) struct Container {
    name: String,
}

impl Container {
    /// Starts a machine of its own and waits until systemd answers.
    pub(crate) fn start(what: &str) -> Self {
        build();
        let container = Self { name: format!("deployix-test-{what}-{}", std::process::id()) };
        // systemd needs its cgroups writable and, for credentials, mounts that are shared as on a
        // real machine; it gets all capabilities but one that not every engine has to give.
        let init = "mount --make-rshared /; \
                    for d in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do \
                    mount -o remount,bind,rw $d; done; \
                    exec /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";
        let started = Command::new("docker")
            .args(["run", "--detach", "--name", &container.name, "--cgroupns=private"])
            .args(["--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"])
            .args(
                ["seccomp", "apparmor", "systempaths"]
                    .map(|what| format!("--security-opt={what}=unconfined")),
            )
            .args(["--tmpfs", "/run", "--tmpfs", "/run/lock", IMAGE, "sh", "-c", init])
            .output()
            .expect("docker runs");
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        container.wait_for("systemctl list-units > /dev/null");
        container
    }

    /// Boots the machine anew.
    pub(crate) fn restart(&self) {
        let output = Command::new("docker").args(["restart", "--time=20", &self.name]).output();
        assert!(output.expect("docker runs").status.success());
        self.wait_for("systemctl list-units > /dev/null");
    }

    /// Copies a folder's content into the root folder.
    pub(crate) fn copy(&self, folder: &Path) {
        let mut tar = Command::new("tar")
            .args(["--owner=0", "--group=0", "-c", "-C"])
            .arg(folder)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar runs");
        let status = Command::new("docker")
            .args(["exec", "-i", &self.name, "tar", "-x", "--keep-directory-symlink", "-C", "/"])
            .stdin(tar.stdout.take().expect("piped"))
            .status();
        assert!(status.expect("docker runs").success() && tar.wait().expect("tar").success());
    }

    /// Its address, which the machine that runs the tests reaches.
    pub(crate) fn address(&self) -> std::net::IpAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let output =
            Command::new("docker").args(["inspect", "--format", format, &self.name]).output();
        let address = String::from_utf8(output.expect("docker runs").stdout).expect("UTF-8");
        address.trim().parse().expect("an address")
    }

    /// Runs a shell script, whatever comes of it.
    pub(crate) fn run(&self, script: &str) -> Output {
        Command::new("docker")
            .args(["exec", &self.name, "sh", "-c", script])
            .output()
            .expect("docker runs")
    }

    /// Runs a shell script that has to succeed, and gives what it prints.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.run(script);
        if !output.status.success() {
            let journal = self.run("journalctl --no-pager -n 60");
            panic!(
                "{script}: {}\n{}\n{}",
                output.status,
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&journal.stdout)
            );
        }
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Waits until a shell script succeeds.
    pub(crate) fn wait_for(&self, script: &str) {
        let start = Instant::now();
        while !self.run(script).status.success() {
            if start.elapsed() > Duration::from_secs(30) {
                self.shell(script);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Builds the image, once for all tests of the process that want it at the same time.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/systemd.Dockerfile");
        let built = Command::new("docker")
            .args(["build", "--quiet", "--tag", IMAGE, "-"])
            .env("DOCKER_BUILDKIT", "0")
            .stdin(std::fs::File::open(dockerfile).expect("the Dockerfile"))
            .output()
            .expect("docker is needed by this test: run scripts/test, which installs it");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    });
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.name]).output();
    }
}
