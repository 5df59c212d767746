//! A container with OpenSSH's server, and a client's configuration that leads there.

use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use deployix_transport::Ssh;
use tempfile::TempDir;

/// The image stays: building it takes longer than any of the tests.
const IMAGE: &str = "deployix-test-sshd";

const DOCKERFILE: &str = r#"FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server procps && mkdir -p /run/sshd /root/.ssh
CMD ["/usr/sbin/sshd", "-D", "-e", "-o", "LogLevel=VERBOSE"]
"#;

/// The server, which goes with this value.
pub(crate) struct Server {
    container: String,
    port: u16,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        input(&["build", "--quiet", "--tag", IMAGE, "-"], DOCKERFILE.as_bytes());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let container = format!("deployix-test-sshd-{port}");
        let published = format!("127.0.0.1:{port}:22");
        // A first process that waits for whatever becomes its child.
        docker(&[
            "run",
            "--detach",
            "--init",
            "--name",
            &container,
            "--publish",
            &published,
            IMAGE,
        ]);
        let server = Self { container, port, folder };
        let key = server.new_key("key");
        let public = fs::read(format!("{key}.pub")).unwrap();
        let keys = "umask 077; cat > /root/.ssh/authorized_keys";
        input(&["exec", "-i", &server.container, "sh", "-c", keys], &public);
        let own = server.exec("cat /etc/ssh/ssh_host_*_key.pub");
        let own = own.lines().map(|key| format!("[127.0.0.1]:{port} {key}\n")).collect::<String>();
        fs::write(server.path("hosts"), own).unwrap();
        server.wait();
        server
    }

    /// Waits until the server answers.
    pub(crate) fn wait(&self) {
        let begin = Instant::now();
        let config = self.config(&[]);
        let port = self.port.to_string();
        loop {
            let mut client = Command::new("ssh");
            client.arg("-F").arg(&config).args(["-p", &port, "root@127.0.0.1", "true"]);
            let output = client.output().expect("these tests need OpenSSH's client: scripts/test");
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(begin.elapsed() < Duration::from_secs(20), "{said}");
            sleep(Duration::from_millis(100));
        }
    }

    /// The way to it.
    pub(crate) fn host(&self) -> Ssh {
        Ssh::new(&self.address()).unwrap().with_config(self.config(&[]))
    }

    pub(crate) fn address(&self) -> String {
        format!("ssh://root@127.0.0.1:{}", self.port)
    }

    /// A configuration of the client in which some settings are others.
    pub(crate) fn config(&self, others: &[(&str, &str)]) -> PathBuf {
        let (key, hosts) = (self.path("key"), self.path("hosts"));
        let (key, hosts) = (key.display().to_string(), hosts.display().to_string());
        let settings = [
            ("IdentityFile", &*key),
            ("UserKnownHostsFile", &*hosts),
            ("GlobalKnownHostsFile", "/dev/null"),
            ("IdentitiesOnly", "yes"),
            ("IdentityAgent", "none"),
        ];
        let changed = |name: &str| others.iter().any(|(other, _)| *other == name);
        let own = settings.iter().filter(|(name, _)| !changed(name));
        let text = own.chain(others).map(|(name, value)| format!("{name} {value}\n"));
        let name = others.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("-");
        let path = self.path(&format!("config-{name}"));
        fs::write(&path, text.collect::<String>()).unwrap();
        path
    }

    /// A list of hosts in which this one has another key.
    pub(crate) fn false_hosts(&self) -> String {
        let key = fs::read_to_string(format!("{}.pub", self.new_key("false"))).unwrap();
        let path = self.path("false-hosts");
        fs::write(&path, format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
        path.display().to_string()
    }

    /// A key that the server does not know.
    pub(crate) fn foreign_key(&self) -> String {
        self.new_key("foreign")
    }

    fn new_key(&self, name: &str) -> String {
        let path = self.path(name).display().to_string();
        let mut made = Command::new("ssh-keygen");
        made.args(["-q", "-t", "ed25519", "-N", "", "-f", &path]);
        let made = made.status().expect("these tests need OpenSSH's client: scripts/test");
        assert!(made.success());
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a script in the container, past SSH.
    pub(crate) fn exec(&self, script: &str) -> String {
        docker(&["exec", &self.container, "sh", "-c", script])
    }

    /// Whether a script in the container succeeds.
    pub(crate) fn try_exec(&self, script: &str) -> bool {
        let mut docker = Command::new("docker");
        docker.args(["exec", &self.container, "sh", "-c", script]);
        docker.output().unwrap().status.success()
    }

    /// Does something to the container as a whole.
    pub(crate) fn docker(&self, what: &str) {
        docker(&[what, &self.container]);
    }

    /// Kills the server's processes of each connection, and not those of its commands.
    pub(crate) fn kill_connections(&self) {
        self.exec("pkill -KILL -f '^sshd: root@'");
    }

    /// How many clients of this server run on this machine.
    pub(crate) fn clients(&self) -> usize {
        let own = self.folder.path();
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok());
        let lines = all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let text = |path: &Path| path.display().to_string();
        lines.filter(|line| String::from_utf8_lossy(line).contains(&text(own))).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.container]).output();
    }
}

/// Runs `docker` and returns what it printed. A missing engine is a failure, never a silent skip.
fn docker(arguments: &[&str]) -> String {
    input(arguments, b"")
}

fn input(arguments: &[&str], stdin: &[u8]) -> String {
    let mut docker = Command::new("docker");
    docker.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut docker = docker.spawn().expect("these tests need Docker: scripts/test brings it");
    docker.stdin.take().unwrap().write_all(stdin).unwrap();
    let Output { status, stdout, stderr } = docker.wait_with_output().unwrap();
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
