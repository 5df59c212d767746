//! Machines and what runs on them, deployed in one go: the strict EC2's instances are containers with
//! systemd, cloud-init and a Docker engine of their own, and `examples/hydra` runs on them.
#![cfg(feature = "engine")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

mod account;
mod balancer;
mod centre;
mod docker;
mod groups;
mod host;
#[path = "../engine/site.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod site;
#[path = "../engine/strict/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod strict;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use deployix_backend_ec2::extension::{NetworkSettings, TargetSettings};
use deployix_core::{
    BackendId, Name,
    load::load,
    spec::{Bytes, Deployment, Network},
};

use ipnet::Ipv4Net;

use crate::{centre::Centre, docker::wait_for, site::Site};

/// Who plays AWS here.
type Standard = strict::Strict;

const VPC: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 99, 0, 0), 16);
const REGION: &str = "ap-southeast-1";

/// Clones the repository as the network gives it, commits and pushes; prints the commit.
const PUSH: &str = include_str!("../../../tests/support/push.sh");

/// The example in a folder of its own, where it can be changed.
struct Example(tempfile::TempDir);

impl Example {
    fn copied() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hydra");
        let copied = Command::new("cp").arg("-r").arg(example).arg(folder.path()).status();
        assert!(copied.unwrap().success());
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join("hydra").join(file)
    }

    fn edit(&self, file: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(old), "{old} in {text}");
        fs::write(self.path(file), text.replace(old, new)).unwrap();
    }

    /// On machines that run Docker, in a network and with disks that fit this machine.
    fn load(&self) -> Deployment {
        let loaded = load(&self.path("ops/deployment.toml"));
        assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics);
        let mut deployment = loaded.value.unwrap();
        let default = deployment.default_backend.as_mut().unwrap();
        default.guest = Some(BackendId::new("docker").unwrap());
        let settings = default.extensions.get::<TargetSettings>().unwrap().unwrap();
        let settings = TargetSettings { state_disk: Bytes(1 << 30), ..settings };
        default.extensions.insert(&settings).unwrap();
        let mut network = Network { location: default.location.clone(), ..Network::default() };
        let settings = NetworkSettings { cidr: Some(VPC), ..NetworkSettings::default() };
        network.extensions.insert(&settings).unwrap();
        deployment.infrastructure.networks.insert(Name::new("rack").unwrap(), network);
        deployment
    }
}

fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: hydra.zalora.com\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.0 200").then_some(answer)
}

struct Hydra {
    site: Site,
    centre: Centre,
}

impl Hydra {
    async fn deploy(&self, deployment: Deployment) {
        let start = Instant::now();
        self.site.deploy(deployment).await;
        println!("deploy: {:?}", start.elapsed());
    }

    /// Pushes a commit; nothing where the repository cannot be reached yet.
    fn push(&self, subject: &str) -> Option<String> {
        let command = ["sh", "-c", PUSH, "sh", subject];
        let pushed = self.centre.inside("deployix.member=evaluator", &command)?;
        pushed.status.success().then(|| String::from_utf8(pushed.stdout).unwrap().trim().to_owned())
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        let within = Duration::from_secs(400);
        wait_for(what, within + Duration::from_secs(60), || {
            self.centre.stands();
            assert!(start.elapsed() < within, "waited for {what}\n{}", self.centre.story());
            is_so()
        });
    }

    /// Pushes a commit and waits until it is worked off and on the page.
    fn travel(&self, subject: &str) -> String {
        let mut commit = None;
        self.wait("a push", || {
            commit = self.push(subject);
            commit.is_some()
        });
        let commit = commit.unwrap();
        assert_eq!(commit.len(), 40, "a commit: {commit}");
        self.wait("the commit to be on the page", || self.lists(&commit));
        commit
    }

    fn lists(&self, commit: &str) -> bool {
        let page = self.centre.port(443).and_then(page).unwrap_or_default();
        page.lines().any(|row| row.contains(commit) && row.contains("<td>done</td>"))
    }
}

#[tokio::test]
async fn machines_and_what_runs_on_them_deploy_in_one_go_and_keep_their_data() {
    let example = Example::copied();
    let site = Site::new(&example.load(), 7);
    site.aws.mood(|mood| (mood.late, mood.pace) = (300, 10));
    let centre = Centre::start(site.aws.clone(), REGION, VPC, &example.path("ops/secrets"));
    let hydra = Hydra { site, centre };
    let Hydra { site, centre } = &hydra;

    // One deploy; nothing is done by hand but the secret.
    hydra.deploy(example.load()).await;
    let first = hydra.travel("Travel <far>");

    // Who is no consumer reaches nobody, not even by a port that others reach.
    assert_eq!(centre.reach("hydra-db", 5432), (true, false), "by the page on another machine");
    assert_eq!(centre.reach("hydra-db", 3000), (false, false), "by the load balancer alone");

    // A second one has nothing to do.
    site.aws.take_writes();
    let (again, drifts) = site.plan_refreshed(example.load()).await;
    assert_eq!((again.steps.len(), drifts), (0, Vec::new()));
    assert_eq!(site.aws.take_writes(), [""; 0]);

    // A machine that boots again waits for its disk, and then starts what keeps data there.
    centre.reboot("hydra-db");
    hydra.wait("the page to list the commit again", || hydra.lists(&first));

    // A machine that is made anew finds its data.
    let (before, disks, _) = centre.stands();
    let user = "user = \"git\"";
    example.edit("git/deployix.toml", user, &format!("{user}\nenv.CHANGED = \"once\""));
    hydra.deploy(example.load()).await;
    let (after, disks_after, _) = centre.stands();
    assert_eq!(before.iter().filter(|id| !after.contains(id)).count(), 1, "{before:?} {after:?}");
    assert_eq!(disks, disks_after);
    let second = hydra.travel("Arrive");
    assert!(hydra.lists(&first) && hydra.lists(&second));

    // What holds data stays until somebody asks for it to go.
    site.destroy_but_data().await;
    hydra.wait("the machines to be gone", || centre.stands().0.is_empty());
    let (_, kept, ports) = centre.stands();
    assert_eq!((kept, ports), (disks, Vec::new()));
    site.destroy().await;
    assert_eq!(site.aws.inventory(), [""; 0]);
    hydra.wait("the disks to be gone", || centre.stands().1.is_empty());
}
