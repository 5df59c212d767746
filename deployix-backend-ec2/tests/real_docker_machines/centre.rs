//! [`Centre`]: a data centre in which an account's machines, disks and load balancers are real.
//!
//! It looks at the account again and again and makes what it sees so: a machine that runs is a
//! container with the address, the groups and the user data of its instance, a disk that is attached a block
//! device there, a listener a port of this machine. How the machines behind it are is found out by
//! connecting to them, and told to the account.

use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Output,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ipnet::Ipv4Net;

use crate::{
    account::{self, Seen, Target},
    balancer::{Balancer, is_well},
    host::{Hardware, Host, router},
    strict::Strict,
};

pub(crate) struct Centre {
    rooms: Arc<Rooms>,
    follows: Option<JoinHandle<()>>,
}

struct Rooms {
    aws: Strict,
    region: &'static str,
    vpc: Ipv4Net,
    /// The secrets that somebody puts onto each machine.
    secrets: PathBuf,
    ends: AtomicBool,
    // Hosts go before their disks and their network.
    stand: Mutex<Stand>,
    hardware: Hardware,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Stand {
    hosts: BTreeMap<String, (Host, Vec<(String, String)>)>,
    disks: BTreeMap<String, Disk>,
    balancers: BTreeMap<u16, Balancer>,
    looked: Option<Instant>,
}

/// A file that is a block device.
struct Disk {
    file: PathBuf,
    number: u32,
}

impl Disk {
    fn new(file: PathBuf, gib: u32) -> Self {
        File::create(&file).unwrap().set_len(u64::from(gib) << 30).unwrap();
        Self { number: Hardware::attach_loop(&file), file }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Hardware::detach_loop(self.number, &self.file);
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Centre {
    /// Makes real what is in a region of an account, from now on.
    pub(crate) fn start(aws: Strict, region: &'static str, vpc: Ipv4Net, secrets: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("deployix-test-machines-").tempdir().unwrap();
        let rooms = Arc::new(Rooms {
            aws,
            region,
            vpc,
            secrets: secrets.to_owned(),
            ends: AtomicBool::new(false),
            stand: Mutex::default(),
            hardware: Hardware::new(vpc, folder.path()),
            folder,
        });
        let follows = Some(thread::spawn({
            let rooms = rooms.clone();
            move || {
                while !rooms.ends.load(Ordering::Relaxed) {
                    rooms.follow();
                    thread::sleep(Duration::from_millis(200));
                }
            }
        }));
        Self { rooms, follows }
    }

    /// The names of what stands: machines, disks, ports.
    pub(crate) fn stands(&self) -> (Vec<String>, Vec<String>, Vec<u16>) {
        let alive = self.follows.as_ref().is_some_and(|follows| !follows.is_finished());
        assert!(alive, "the centre does not follow the account any more");
        let stand = self.rooms.stand.lock().unwrap();
        let keys = |keys: &mut dyn Iterator<Item = &String>| keys.cloned().collect();
        (
            keys(&mut stand.hosts.keys()),
            keys(&mut stand.disks.keys()),
            stand.balancers.keys().copied().collect(),
        )
    }

    /// The port of this machine at which a port of the load balancer is reached.
    pub(crate) fn port(&self, of: u16) -> Option<u16> {
        self.rooms.stand.lock().unwrap().balancers.get(&of).map(Balancer::port)
    }

    /// Runs a command in a container that has this label, on whichever machine.
    pub(crate) fn inside(&self, label: &str, command: &[&str]) -> Option<Output> {
        let stand = self.rooms.stand.lock().unwrap();
        stand.hosts.values().find_map(|(host, _)| host.inside(label, command))
    }

    /// Who reaches a port of the machine with a functionality: every other machine, and a stranger in
    /// the network.
    pub(crate) fn reach(&self, functionality: &str, port: u16) -> (bool, bool) {
        let label = label(functionality);
        let stand = self.rooms.stand.lock().unwrap();
        let hosts: Vec<_> = stand.hosts.values().map(|(host, _)| host).collect();
        let runs = |host: &&&Host| host.inside(&label, &["true"]).is_some();
        let there = hosts.iter().find(runs).unwrap().address;
        let mut others = hosts.iter().filter(|host| host.address != there);
        (
            others.all(|host| host.reaches(there, port)),
            self.rooms.hardware.stranger_reaches(there, port),
        )
    }

    /// Boots the machine with a functionality anew.
    pub(crate) fn reboot(&self, functionality: &str) {
        let label = label(functionality);
        let mut stand = self.rooms.stand.lock().unwrap();
        let mut hosts = stand.hosts.values_mut().map(|(host, _)| host);
        hosts.find(|host| host.inside(&label, &["true"]).is_some()).unwrap().reboot();
    }

    /// What the machines tell of themselves, for people who look for an error.
    pub(crate) fn story(&self) -> String {
        let stand = self.rooms.stand.lock().unwrap();
        stand.hosts.values().map(|(host, _)| host.story()).collect()
    }
}

/// What containers of a functionality are labelled with.
fn label(functionality: &str) -> String {
    format!("deployix.functionality={functionality}")
}

impl Rooms {
    fn follow(&self) {
        let seen = self.aws.by_hand(self.region, |world| account::look(world, router(self.vpc)));
        let mut stand = self.stand.lock().unwrap();
        stand.machines(&seen, self);
        let found = stand.balancers(&seen);
        drop(stand);
        self.aws.by_hand(self.region, |world| {
            for (target, is_well) in &found {
                account::tell_health(world, target, *is_well);
            }
        });
    }
}

impl Stand {
    fn machines(&mut self, seen: &Seen, rooms: &Rooms) {
        self.hosts.retain(|id, _| seen.machines.iter().any(|it| it.id.as_str() == id));
        self.disks.retain(|id, _| seen.disks.iter().any(|(it, _)| it == id));
        for (id, gib) in &seen.disks {
            let file = rooms.folder.path().join(id);
            self.disks.entry(id.clone()).or_insert_with(|| Disk::new(file, *gib));
        }
        for machine in &seen.machines {
            let (host, attached) = self.hosts.entry(machine.id.to_string()).or_insert_with(|| {
                (Host::start(&rooms.hardware, machine, &rooms.secrets), Vec::new())
            });
            host.run(machine.runs);
            if !machine.runs {
                continue;
            }
            host.filter(&machine.filter);
            for (disk, device) in &machine.disks {
                host.attach(device, self.disks[disk].number);
            }
            for (_, device) in attached.iter().filter(|it| !machine.disks.contains(it)) {
                host.detach(device);
            }
            attached.clone_from(&machine.disks);
        }
    }

    /// Makes ports lead to machines that are well, and gives how all were found.
    fn balancers(&mut self, seen: &Seen) -> Vec<(Target, bool)> {
        self.balancers.retain(|port, _| seen.listeners.iter().any(|it| it.port == *port));
        if self.looked.is_some_and(|looked| looked.elapsed() < Duration::from_secs(1)) {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let mut found = Vec::new();
        for listener in &seen.listeners {
            let address = |it: &Target| SocketAddr::from((it.address, it.port));
            let (mut lead_to, all) = (Vec::new(), listener.targets.iter());
            for target in all.filter(|it| !it.is_draining) {
                let is_well = is_well(address(target));
                lead_to.extend(is_well.then(|| address(target)));
                found.push((target.clone(), is_well));
            }
            let balancer = self.balancers.entry(listener.port).or_insert_with(Balancer::start);
            balancer.lead_to(lead_to);
        }
        found
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.rooms.ends.store(true, Ordering::Relaxed);
        let _ = self.follows.take().map(JoinHandle::join);
        // Also where following ended in a panic.
        let mut stand = self.rooms.stand.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        stand.hosts.clear();
        stand.disks.clear();
    }
}
