//! A machine: a container with systemd, cloud-init and an engine of its own.

use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt, path::Path, process::Command};

use base64::Engine;
use ipnet::Ipv4Net;

use crate::{
    account::Machine,
    docker::{docker, docker_reads, try_docker},
};

pub(crate) const IMAGE: &str = "deployix-test-machine";

/// The base image of what runs on the machines, which call it as the example does.
const BASE_IMAGE: &str = "deployix-test-machine-base";

/// The network of the machines, whose names start with it.
const NETWORK: &str = "deployix-test-machines";

/// All capabilities but one that not every engine has to give.
const CAPABILITIES: [&str; 7] = [
    "--cap-add=ALL",
    "--cap-drop=SYS_RESOURCE",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    // Loop devices, and what hands them out (devices.txt of the kernel's documentation).
    "--device-cgroup-rule=b 7:* rwm",
    "--device-cgroup-rule=c 10:237 rwm",
];

/// systemd needs its cgroups writable, and programs in containers of a machine a name server that is
/// not the machine's own.
const INIT: &str = "mount --make-rshared /; \
     for d in /sys /sys/fs/cgroup /sys/fs/cgroup/* /proc/sys; do mount -o remount,bind,rw $d; done; \
     printf '%s\\n' \"$RESOLV_CONF\" >/etc/resolv.conf; \
     exec /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1";

/// The address of a VPC's router, which is where this machine is in its network.
pub(crate) fn router(vpc: Ipv4Net) -> Ipv4Addr {
    vpc.hosts().next().unwrap()
}

/// What all machines have in common.
#[derive(Debug)]
pub(crate) struct Hardware {
    /// The file with the base image.
    base_image: String,
    resolv_conf: String,
}

impl Hardware {
    /// Builds the machines' image, and their network with the addresses of a VPC.
    pub(crate) fn new(vpc: Ipv4Net, folder: &Path) -> Self {
        Self::clear();
        let build = |image, dockerfile: &[u8]| {
            docker_reads(&["build", "--quiet", "--tag", image, "-"], dockerfile)
        };
        build(IMAGE, include_bytes!("machine.Dockerfile"));
        build(BASE_IMAGE, include_bytes!("base.Dockerfile"));
        let router = router(vpc).to_string();
        let vpc = vpc.to_string();
        docker(&["network", "create", "--subnet", &vpc, "--gateway", &router, NETWORK]);
        let base_image = folder.join("base-image.tar").display().to_string();
        docker(&["save", "--output", &base_image, BASE_IMAGE]);
        let resolv_conf = docker(&["run", "--rm", BASE_IMAGE, "cat", "/etc/resolv.conf"]);
        Self { base_image, resolv_conf }
    }

    /// Removes what an earlier run left that was killed: there is one network with these addresses.
    fn clear() {
        let on_it = ["ps", "--all", "--quiet", "--filter", &format!("network={NETWORK}")];
        let left = String::from_utf8(try_docker(&on_it).stdout).unwrap();
        for container in left.lines() {
            try_docker(&["rm", "--force", "--volumes", container]);
        }
        try_docker(&["network", "rm", NETWORK]);
    }

    /// Makes a file a block device, and gives the number of the loop device.
    pub(crate) fn attach_loop(file: &Path) -> u32 {
        let device = loop_setup(file.parent().unwrap(), &["--find", "--show", &shown(file)]);
        device.strip_prefix("/dev/loop").unwrap().parse().unwrap()
    }

    /// Whether a connection opens from somewhere in the network that no group knows.
    pub(crate) fn stranger_reaches(&self, address: Ipv4Addr, port: u16) -> bool {
        let script = connects(address, port);
        let run = ["run", "--rm", "--network", NETWORK, BASE_IMAGE, "bash", "-c", &script];
        try_docker(&run).status.success()
    }

    pub(crate) fn detach_loop(number: u32, file: &Path) {
        loop_setup(file.parent().unwrap(), &["--detach", &format!("/dev/loop{number}")]);
    }
}

impl Drop for Hardware {
    fn drop(&mut self) {
        Self::clear();
    }
}

fn connects(address: Ipv4Addr, port: u16) -> String {
    format!("timeout 3 bash -c '</dev/tcp/{address}/{port}'")
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Not everybody who runs the tests may do this, but whoever asks the engine.
fn loop_setup(folder: &Path, arguments: &[&str]) -> String {
    let folder = format!("{0}:{0}", folder.display());
    let run = ["run", "--rm", "--volume=/dev:/dev", "--volume", &folder];
    docker(&[&run[..], &CAPABILITIES, &[IMAGE, "losetup"], arguments].concat())
}

/// A machine that was started, and goes when dropped.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) runs: bool,
    filter: String,
}

impl Host {
    /// Starts a machine that is told this at its first boot, with the secrets that somebody put there.
    pub(crate) fn start(hardware: &Hardware, machine: &Machine, secrets: &Path) -> Self {
        let name = format!("{NETWORK}-{}", machine.id);
        let host = Self { name, address: machine.address, runs: true, filter: String::new() };
        let (address, resolv_conf) =
            (machine.address.to_string(), format!("RESOLV_CONF={}", hardware.resolv_conf));
        let base_image = format!("{}:/srv/base-image.tar:ro", hardware.base_image);
        let create = ["create", "--name", &host.name, "--cgroupns=private"];
        let own = ["--network", NETWORK, "--ip", &address, "--env", &resolv_conf];
        let disks = ["--volume", &base_image, "--volume=/var/lib/docker"];
        let memory = ["--tmpfs=/run", "--tmpfs=/run/lock"];
        let init = [IMAGE, "sh", "-c", INIT];
        docker(&[&create[..], &CAPABILITIES, &own, &disks, &memory, &init].concat());
        host.put(machine, secrets);
        docker(&["start", &host.name]);
        host
    }

    /// Puts what it finds when it boots.
    fn put(&self, machine: &Machine, secrets: &Path) {
        let root = tempfile::tempdir().unwrap();
        let seed = root.path().join("var/lib/cloud/seed/nocloud");
        fs::create_dir_all(&seed).unwrap();
        let user_data = base64::engine::general_purpose::STANDARD.decode(&machine.user_data);
        fs::write(seed.join("user-data"), user_data.unwrap()).unwrap();
        fs::write(seed.join("meta-data"), format!("instance-id: {}\n", machine.id)).unwrap();
        let folder = root.path().join("var/lib/deployix/docker/secrets");
        fs::create_dir_all(&folder).unwrap();
        for secret in fs::read_dir(secrets).unwrap() {
            let secret = secret.unwrap();
            let to = folder.join(secret.file_name());
            fs::copy(secret.path(), &to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o444)).unwrap();
        }
        let tar = Command::new("tar")
            .args(["--owner=0", "--group=0", "-c", "-C"])
            .arg(root.path())
            .arg("var")
            .output()
            .unwrap();
        assert!(tar.status.success());
        docker_reads(&["cp", "-", &format!("{}:/", self.name)], &tar.stdout);
    }

    /// Starts or stops it.
    pub(crate) fn run(&mut self, runs: bool) {
        if runs != self.runs {
            let word: &[&str] = if runs { &["start"] } else { &["stop", "--time=20"] };
            docker(&[word, &[&self.name]].concat());
            self.runs = runs;
        }
    }

    /// Boots it anew; what is before it and attached to it comes again a moment later.
    pub(crate) fn reboot(&mut self) {
        docker(&["restart", "--time=20", &self.name]);
        self.filter.clear();
    }

    /// Lets through what its groups let through, and nothing else.
    pub(crate) fn filter(&mut self, filter: &str) {
        if self.filter != filter {
            let network = format!("--network=container:{}", self.name);
            let run = ["run", "--rm", "--interactive", "--cap-add=NET_ADMIN", &network, BASE_IMAGE];
            docker_reads(&[&run[..], &["nft", "--file", "-"]].concat(), filter.as_bytes());
            filter.clone_into(&mut self.filter);
        }
    }

    /// Whether a connection opens from here.
    pub(crate) fn reaches(&self, address: Ipv4Addr, port: u16) -> bool {
        let script = connects(address, port);
        try_docker(&["exec", &self.name, "bash", "-c", &script]).status.success()
    }

    /// Lets a disk appear under the name of a device, unless it is there.
    pub(crate) fn attach(&self, device: &str, number: u32) {
        let script = "[ -e \"$1\" ] || mknod \"$1\" b 7 \"$2\"";
        let number = number.to_string();
        docker(&["exec", &self.name, "sh", "-c", script, "sh", device, &number]);
    }

    pub(crate) fn detach(&self, device: &str) {
        docker(&["exec", &self.name, "rm", "-f", device]);
    }

    /// Runs a command in a container of its engine that has this label; nothing where none has.
    pub(crate) fn inside(&self, label: &str, command: &[&str]) -> Option<std::process::Output> {
        let filter = format!("label={label}");
        let own = ["exec", &self.name, "docker"];
        let list = try_docker(&[&own[..], &["ps", "--quiet", "--filter", &filter]].concat());
        let list = String::from_utf8(list.stdout).unwrap();
        let container = list.lines().next()?;
        Some(try_docker(&[&own[..], &["exec", container], command].concat()))
    }

    /// What it tells of itself, for people who look for an error.
    pub(crate) fn story(&self) -> String {
        let script = "cloud-init status --long; systemctl --failed --no-pager; lsblk; docker ps --all; \
                      journalctl --no-pager --lines 60 --unit deployix-docker --unit deployix-state \
                      --unit cloud-final";
        let told = try_docker(&["exec", &self.name, "sh", "-c", script]);
        format!("{}:\n{}", self.name, String::from_utf8_lossy(&told.stdout))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        try_docker(&["rm", "--force", "--volumes", &self.name]);
    }
}
