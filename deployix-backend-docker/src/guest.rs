//! A machine's first boot, told as cloud-init user data: Docker, the project and a unit that keeps
//! it up.
//!
//! Addresses that are known only once machines are made stand in one place, a file that Compose
//! reads beside the project's own (`compose.override.yaml`); everything else is fixed text.

use std::collections::BTreeMap;

use deployix_core::{
    backend::{CompileError, PeerAddress, Remark, Site, Unit, UserData, UserDataPart},
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

/// Starts the project at each boot, and again until its images are built and its secrets there.
const SYSTEMD_UNIT: &str = "\
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

/// Tells a machine to run these units.
pub(crate) fn user_data(site: Site<'_>, units: &[Unit<'_>]) -> Result<UserData, CompileError> {
    let Some(first) = units.first() else {
        return Ok(text_alone("#cloud-config\n{}\n".to_owned()));
    };
    refuse_state(units)?;
    let scene = Scene::new(first.deployment, site, units, Host::Guest)?;
    let mut files = scene.files(&scene.project())?;
    for (_, blueprint) in scene.blueprints() {
        for program in &blueprint.programs {
            files.extend(compile::context(program)?);
        }
    }
    let mut written = BTreeMap::new();
    for (path, content) in &files {
        written.insert(format!("{FOLDER}/{path}"), entry(content)?);
    }
    let unit = FileContent::plain(SYSTEMD_UNIT.as_bytes());
    written.insert("/etc/systemd/system/deployix-docker.service".to_owned(), entry(&unit)?);

    let mut holes = Holes::new(&files);
    if let Some(hosts) = later_hosts(&scene, &mut holes) {
        let content = FileContent::plain(hosts.print().into_bytes());
        written.insert(format!("{FOLDER}/compose.override.yaml"), entry(&content)?);
    }
    let files = written.into_iter().map(|(path, mut entry)| {
        entry.insert(0, ("path".to_owned(), Yaml::Text(path)));
        Yaml::Map(entry)
    });
    let setup = ["sh", "-exc", SETUP].map(|part| Yaml::Text(part.to_owned()));
    let config = Yaml::Map(vec![
        ("write_files".to_owned(), Yaml::List(files.collect())),
        ("runcmd".to_owned(), Yaml::List(vec![Yaml::List(setup.to_vec())])),
    ]);
    Ok(holes.fill(&format!("#cloud-config\n{}", config.print())))
}

/// A machine is made anew with each version of what it boots from, and its disk with it.
fn refuse_state(units: &[Unit<'_>]) -> Result<(), CompileError> {
    let with_state = units.iter().filter(|unit| {
        unit.service
            .members()
            .any(|(_, service)| !service.state.is_empty() || service.schedule.is_some())
    });
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
                Yaml::Text(format!("{}:{}", distant.peer.fqdn, holes.add(&distant.address)))
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

/// Addresses that come later, each with a mark in the text that nothing else there can be.
struct Holes {
    prefix: String,
    addresses: Vec<PeerAddress>,
}

impl Holes {
    /// For a text that holds these files.
    fn new<'f, K: 'f>(files: impl IntoIterator<Item = (&'f K, &'f FileContent)>) -> Self {
        let texts: Vec<_> = files.into_iter().filter_map(|(_, file)| file.as_text()).collect();
        let mut prefix = "later".to_owned();
        while texts.iter().any(|text| text.contains(&prefix)) {
            prefix.push('r');
        }
        Self { prefix, addresses: Vec::new() }
    }

    /// The mark for an address.
    fn add(&mut self, address: &PeerAddress) -> String {
        self.addresses.push(address.clone());
        format!("{}-{};", self.prefix, self.addresses.len() - 1)
    }

    /// The text with the addresses in place of their marks.
    fn fill(&self, text: &str) -> UserData {
        let mut parts = Vec::new();
        let mut rest = text;
        for (index, address) in self.addresses.iter().enumerate() {
            let mark = format!("{}-{index};", self.prefix);
            if let Some((before, after)) = rest.split_once(&mark) {
                parts.push(UserDataPart::Text(before.to_owned()));
                parts.push(UserDataPart::Address(address.clone()));
                rest = after;
            }
        }
        parts.push(UserDataPart::Text(rest.to_owned()));
        UserData { parts }
    }
}
