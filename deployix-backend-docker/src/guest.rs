//! A machine's first boot, told as cloud-init user data: Docker, the project and a unit that keeps
//! it up.
//!
//! Addresses that are known only once machines are made stand in one place, a file that Compose
//! reads beside the project's own (`compose.override.yaml`); everything else is fixed text.
//!
//! Where the machine has a disk that outlives it, each volume of the project is a folder of that disk.
//! The engine itself starts containers again at each boot, so it waits for the disk.

use std::collections::BTreeMap;

use deployix_core::{
    backend::{CompileError, FirstBoot, Remark, Unit, UserData, UserDataPart},
    spec::FileContent,
};

use crate::{
    assemble::Scene,
    compile::{self, Host},
    naming,
    yaml::Yaml,
};

/// Where the project is on the machine.
const FOLDER: &str = "/var/lib/deployix/docker";

/// Where the volumes are on the disk that outlives the machine, which is mounted above it.
const VOLUMES: &str = "/srv/deployix/docker";

/// The script that mounts it.
const MOUNT: &str = "/usr/local/lib/deployix/mount-state";

/// Starts the project at each boot, and again until its images are built and its secrets there.
const PROJECT_UNIT: &str = "\
[Unit]
Description=The containers that Deployix was asked for
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory=/var/lib/deployix/docker
ExecStart=/usr/bin/docker compose up --detach
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
";

/// Mounts the disk at each boot before the engine starts, and again until it is there. Whoever waits
/// for it goes on waiting when it fails (systemd.service(5), `RestartMode=`). Names of volumes have
/// no character that means anything to systemd.
fn disk_unit<'a>(volumes: impl Iterator<Item = &'a str>) -> String {
    let folders: String = volumes.map(|folder| format!(" {folder}")).collect();
    format!(
        "\
[Unit]
Description=The disk for state
Before=docker.service deployix-docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {MOUNT} /srv/deployix
ExecStart=/bin/mkdir -p -m 0700 -- {VOLUMES}{folders}
TimeoutStartSec=infinity
Restart=on-failure
RestartMode=direct
RestartSec=10

[Install]
RequiredBy=docker.service deployix-docker.service
"
    )
}

/// Installs the engine and Compose, whatever their packages are called, and starts the unit.
const SETUP: &str = "\
export DEBIAN_FRONTEND=noninteractive
if ! docker compose version; then
  apt-get update
  apt-get install -y --no-install-recommends docker.io docker-compose-v2 ||
    apt-get install -y --no-install-recommends docker.io docker-cli docker-compose
  docker compose version
fi
mkdir -p /var/lib/deployix/docker/secrets
systemctl daemon-reload
systemctl enable --now --no-block deployix-docker.service
";

/// Comes first where there is a disk: an engine that is installed after it starts after it.
const SETUP_DISK: &str = "\
systemctl daemon-reload
systemctl enable --now --no-block deployix-state.service
";

/// Whether a unit keeps what has to outlive its machine: its state, or when its schedule last ran.
pub(crate) fn keeps(unit: &Unit<'_>) -> bool {
    let mut services = unit.service.members();
    services.any(|(_, service)| !service.state.is_empty() || service.schedule.is_some())
}

/// Tells a machine to run its units.
pub(crate) fn user_data(boot: &FirstBoot<'_>) -> Result<UserData, CompileError> {
    let units = boot.units;
    let Some(first) = units.first() else {
        return Ok(text_alone("#cloud-config\n{}\n".to_owned()));
    };
    let scene = Scene::new(first.deployment, boot.site, units, &[], Host::Guest)?;
    let mut project = scene.project();
    match boot.disk {
        Some(_) => {
            for (name, volume) in &mut project.volumes {
                volume.folder = Some(format!("{VOLUMES}/{name}"));
            }
        }
        None => refuse_state(units)?,
    }
    let mut files = scene.files(&project)?;
    for (_, blueprint) in scene.blueprints() {
        for program in &blueprint.programs {
            files.extend(compile::context(program)?);
        }
    }
    let text = |text: &str| entry(&FileContent::plain(text.as_bytes()));
    let unit = |name: &str| format!("/etc/systemd/system/{name}.service");
    let mut written = BTreeMap::from([(unit("deployix-docker"), text(PROJECT_UNIT)?)]);
    for (path, content) in &files {
        written.insert(format!("{FOLDER}/{path}"), entry(content)?);
    }
    let mount = boot.disk.map(|disk| disk.mount.as_slice());
    let known = mount.into_iter().flatten().filter_map(|part| match part {
        UserDataPart::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let mut holes = Holes::new(files.values().filter_map(FileContent::as_text).chain(known));
    let mut setup = SETUP.to_owned();
    if let Some(mount) = mount {
        let volumes = project.volumes.values().filter_map(|volume| volume.folder.as_deref());
        written.insert(unit("deployix-state"), text(&disk_unit(volumes))?);
        written.insert(MOUNT.to_owned(), text(&holes.text(mount))?);
        setup.insert_str(0, SETUP_DISK);
    }
    if let Some(hosts) = later_hosts(&scene, &mut holes) {
        written.insert(format!("{FOLDER}/compose.override.yaml"), text(&hosts.print())?);
    }
    let files = written.into_iter().map(|(path, mut entry)| {
        entry.insert(0, ("path".to_owned(), Yaml::Text(path)));
        Yaml::Map(entry)
    });
    let setup = ["sh", "-exc", &setup].map(|part| Yaml::Text(part.to_owned()));
    let config = Yaml::Map(vec![
        ("write_files".to_owned(), Yaml::List(files.collect())),
        ("runcmd".to_owned(), Yaml::List(vec![Yaml::List(setup.to_vec())])),
    ]);
    Ok(holes.fill(&format!("#cloud-config\n{}", config.print())))
}

/// A machine is made anew with each version of what it boots from, and its disk with it.
fn refuse_state(units: &[Unit<'_>]) -> Result<(), CompileError> {
    let with_state = units.iter().filter(|unit| keeps(unit));
    let reasons: Vec<_> = with_state
        .map(|unit| {
            let message = format!(
                "`{}` has state, or a schedule whose last run is to be remembered, and the disk of \
                 a machine that boots Docker does not outlive it",
                unit.name
            );
            Remark::new(["guest"], message)
                .remedy("place it on a target with another guest, or on a Docker target")
        })
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(CompileError { reasons }) }
}

/// What Compose reads beside the project: the hosts whose addresses come later.
fn later_hosts(scene: &Scene<'_>, holes: &mut Holes) -> Option<Yaml> {
    let mut services = Vec::new();
    for (_, blueprint) in scene.blueprints() {
        let hosts: Vec<Yaml> = blueprint
            .distant
            .iter()
            .filter(|distant| distant.known().is_none())
            .map(|distant| {
                Yaml::Text(format!(
                    "{}:{}",
                    distant.peer.fqdn,
                    holes.add(UserDataPart::Address(distant.address.clone()))
                ))
            })
            .collect();
        if hosts.is_empty() {
            continue;
        }
        for instance in &blueprint.instances {
            let hosts = Yaml::Map(vec![("extra_hosts".to_owned(), Yaml::List(hosts.clone()))]);
            services.push((naming::namespace(instance), hosts));
        }
    }
    let services = Some(services).filter(|services| !services.is_empty())?;
    Some(Yaml::Map(vec![("services".to_owned(), Yaml::Map(services))]))
}

/// A file for cloud-init to write, without its path.
fn entry(content: &FileContent) -> Result<Vec<(String, Yaml)>, CompileError> {
    let Some(text) = content.as_text().filter(|text| !text.contains('\0')) else {
        return Err(Remark::new(["guest"], "a machine's first boot can write files of text alone")
            .remedy("make files with other bytes part of an image")
            .into());
    };
    let mode = if content.executable { "0755" } else { "0644" };
    Ok(vec![
        ("permissions".to_owned(), Yaml::Text(mode.to_owned())),
        ("content".to_owned(), Yaml::Text(text.to_owned())),
    ])
}

fn text_alone(text: String) -> UserData {
    UserData { parts: vec![UserDataPart::Text(text)] }
}

/// What comes later, each piece with a mark in the text that nothing else there can be.
struct Holes {
    prefix: String,
    later: Vec<UserDataPart>,
}

impl Holes {
    /// For a text that holds these.
    fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        let texts: Vec<_> = texts.collect();
        let mut prefix = "later".to_owned();
        while texts.iter().any(|text| text.contains(&prefix)) {
            prefix.push('r');
        }
        Self { prefix, later: Vec::new() }
    }

    /// The mark for a piece.
    fn add(&mut self, part: UserDataPart) -> String {
        self.later.push(part);
        format!("{}-{};", self.prefix, self.later.len() - 1)
    }

    /// A text with marks in place of what comes later.
    fn text(&mut self, parts: &[UserDataPart]) -> String {
        let part = |part: &UserDataPart| match part {
            UserDataPart::Text(text) => text.clone(),
            later => self.add(later.clone()),
        };
        parts.iter().map(part).collect()
    }

    /// The text with what comes later in place of its marks, wherever each stands.
    fn fill(&self, text: &str) -> UserData {
        let mut parts = Vec::new();
        let mut rest = text;
        let mark = format!("{}-", self.prefix);
        while let Some((before, after)) = rest.split_once(&mark) {
            let Some((number, after)) = after.split_once(';') else { break };
            let Some(later) = number.parse().ok().and_then(|at: usize| self.later.get(at)) else {
                break;
            };
            parts.push(UserDataPart::Text(before.to_owned()));
            parts.push(later.clone());
            rest = after;
        }
        parts.push(UserDataPart::Text(rest.to_owned()));
        UserData { parts }
    }
}
