//! An engine of a test's own, which it may stop and kill as it likes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Engine, kill, run};

/// A dockerd with a containerd, in a folder and a network namespace of their own, so that neither
/// its state nor its packet filter meets this machine's engine. Needs root.
///
/// containerd and the containers outlive the dockerd, as they do where systemd starts both.
pub(crate) struct PrivateEngine {
    folder: TempDir,
    /// Holds the network namespace.
    namespace: Child,
    containerd: Child,
    dockerd: Option<Child>,
}

impl PrivateEngine {
    /// Starts an engine that has the base image.
    pub(crate) fn start() -> Self {
        // Sockets' names must be short, and data lie on a real file system.
        let folder = tempfile::Builder::new().prefix("dx-engine-").tempdir().unwrap();
        let path = folder.path().display();
        let config = format!(
            "version = 2\nroot = \"{path}/containerd\"\nstate = \"{path}/containerd-run\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = \"{path}/containerd.sock\"\n"
        );
        fs::write(folder.path().join("containerd.toml"), config).unwrap();
        let mut namespace = Command::new("unshare");
        namespace.args(["--net", "sh", "-c", "ip link set lo up && exec sleep infinity"]);
        let namespace =
            namespace.spawn().expect("this test needs root: see scripts/real-parts/dockerd.sh");
        let mut containerd = Command::new("containerd");
        containerd.arg("--config").arg(folder.path().join("containerd.toml"));
        let log = |name: &str| fs::File::create(folder.path().join(name)).unwrap();
        containerd.stdout(Stdio::null()).stderr(log("containerd.log"));
        let containerd = containerd.spawn().unwrap();
        let mut engine = Self { folder, namespace, containerd, dockerd: None };
        // Until the namespace is another one than ours.
        let ours = fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", engine.namespace.id());
        let begin = Instant::now();
        while fs::read_link(&theirs).is_ok_and(|theirs| theirs == ours) {
            assert!(
                begin.elapsed() < Duration::from_secs(10),
                "no network namespace could be made"
            );
            sleep(Duration::from_millis(10));
        }
        engine.up();
        engine.load("debian:bookworm-slim");
        engine
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path().join("docker.sock")
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine { socket: Some(self.socket()) }
    }

    /// Starts dockerd and waits until it answers.
    pub(crate) fn up(&mut self) {
        let log =
            fs::File::options().create(true).append(true).open(self.path().join("dockerd.log"));
        let path = self.path();
        let mut dockerd = Command::new("nsenter");
        dockerd
            .arg(format!("--net=/proc/{}/ns/net", self.namespace.id()))
            .args(["dockerd", "--bridge=none"])
            .arg("--containerd")
            .arg(path.join("containerd.sock"))
            .arg("--data-root")
            .arg(path.join("data"))
            .arg("--exec-root")
            .arg(path.join("run"))
            .arg("--pidfile")
            .arg(path.join("dockerd.pid"))
            .arg(format!("--host=unix://{}", self.socket().display()))
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        self.dockerd = Some(dockerd.spawn().unwrap());
        let engine = self.engine();
        let begin = Instant::now();
        while engine.try_docker(&["info"]).code != Some(0) {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "dockerd does not start: {}",
                self.log()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// Sends dockerd a signal and waits until it is gone.
    pub(crate) fn down(&mut self, signal: &str) {
        if let Some(mut dockerd) = self.dockerd.take() {
            kill(dockerd.id(), signal);
            dockerd.wait().unwrap();
        }
    }

    /// Gives it an image of this machine's engine.
    fn load(&self, image: &str) {
        let mut save =
            Command::new("docker").args(["save", image]).stdout(Stdio::piped()).spawn().unwrap();
        run(self.engine().command(&["load", "--quiet"]).stdin(save.stdout.take().unwrap()));
        assert!(save.wait().unwrap().success(), "{image} is missing: run scripts/test");
    }

    /// The end of dockerd's log.
    pub(crate) fn log(&self) -> String {
        let log = fs::read_to_string(self.path().join("dockerd.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        if let Some(mut dockerd) = self.dockerd.take() {
            // Containers that are left would outlive it.
            self.engine().clean(None);
            let _ = Command::new("kill").arg(dockerd.id().to_string()).status();
            let _ = dockerd.wait();
        }
        for child in [&mut self.containerd, &mut self.namespace] {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        // What is still mounted below, the deepest first.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let own = self.path().to_string_lossy().into_owned();
        let mut mounted: Vec<_> =
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        mounted.retain(|path| path.starts_with(&own));
        mounted.sort_unstable();
        for path in mounted.iter().rev() {
            let _ = Command::new("umount").args(["--lazy", path]).status();
        }
    }
}
