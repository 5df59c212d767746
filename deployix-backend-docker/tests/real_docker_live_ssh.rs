//! An engine that is reached over SSH: a container with a server of its own leads to it.
//!
//! This test needs a Docker engine, the image `debian:bookworm-slim` and OpenSSH's client;
//! `scripts/test` brings all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod live;
mod perl;
#[expect(dead_code, reason = "each test binary uses its part")]
mod real;
#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    live::World,
    perl::{deployment, free_port, server},
    real::{Image, docker},
    stage::functionality,
};

/// Tells the half of the test that runs by itself where the engine is.
const ADDRESS: &str = "DEPLOYIX_TEST_ENGINE";

/// `docker system dial-stdio`, which is what the other end runs, without Docker's own client.
const DOCKERFILE: &str = r#"FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends openssh-server socat && mkdir -p /run/sshd /root/.ssh
RUN printf '#!/bin/sh\nexec socat - UNIX-CONNECT:/var/run/docker.sock\n' > /usr/bin/docker && chmod 755 /usr/bin/docker
COPY key.pub /root/.ssh/authorized_keys
RUN chmod 700 /root/.ssh && chmod 600 /root/.ssh/authorized_keys
CMD ["/usr/sbin/sshd", "-D", "-e"]
"#;

/// A container that goes with the test.
struct Server(String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.0]).output();
    }
}

#[test]
fn an_engine_is_reached_over_ssh() {
    if let Ok(address) = env::var(ADDRESS) {
        return deploy_and_remove(&address);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", &path("key")])
        .status()
        .expect("this test needs OpenSSH's client: run scripts/test");
    assert!(made.success());
    let context = tempfile::tempdir().unwrap();
    fs::copy(path("key.pub"), context.path().join("key.pub")).unwrap();
    fs::write(context.path().join("Dockerfile"), DOCKERFILE).unwrap();
    let image = Image::build(context.path());
    let port = free_port();
    let published = format!("127.0.0.1:{port}:22");
    let socket = "/var/run/docker.sock:/var/run/docker.sock";
    let run = ["run", "--detach", "--publish", &published, "--volume", socket, image.id()];
    let server = Server(docker(&run).trim().to_owned());

    // The user's own client and configuration are what leads there; the test has some of its own.
    fs::write(
        path("config"),
        format!(
            "Host rack1\nHostName 127.0.0.1\nPort {port}\nUser root\n\
             IdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\n\
             StrictHostKeyChecking no\nLogLevel ERROR\n",
            path("key"),
            path("hosts")
        ),
    )
    .unwrap();
    let client = env::split_paths(&env::var_os("PATH").unwrap())
        .map(|folder| folder.join("ssh"))
        .find(|program| program.exists())
        .expect("this test needs OpenSSH's client: run scripts/test");
    let script = format!("#!/bin/sh\nexec {} -F {} \"$@\"\n", client.display(), path("config"));
    fs::write(path("ssh"), script).unwrap();
    fs::set_permissions(path("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let begin = Instant::now();
    while !Command::new(path("ssh")).args(["rack1", "true"]).output().unwrap().status.success() {
        assert!(begin.elapsed().as_secs() < 20, "{}", docker(&["logs", &server.0]));
        std::thread::sleep(Duration::from_millis(200));
    }

    let folders = format!("{}:{}", folder.path().display(), env::var("PATH").unwrap());
    let inside = Command::new(env::current_exe().unwrap())
        .args(["--exact", "an_engine_is_reached_over_ssh", "--nocapture"])
        .env("PATH", folders)
        .env(ADDRESS, "rack1")
        .output()
        .unwrap();
    let said = String::from_utf8([inside.stdout, inside.stderr].concat()).unwrap();
    assert!(inside.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn deploy_and_remove(address: &str) {
    let web = server(&["80"]).env("GREETING", "one ${secret:greeting}").build().unwrap();
    let web = functionality("web", web, &[]);
    let mut deployment = deployment("ssh", "10.214.176.0/20", [web.shared()].into_iter().collect());
    let target = deployment.infrastructure.targets.get_mut("box").unwrap();
    target.address = Some(address.to_owned());
    let mut world = World::new(&deployment).with_secret("greeting", "hello");
    world.deploy(deployment).unwrap();
    world.assert_as_made();
    world.remove_all();
}
