//! Everything on one machine as one `#cloud-config`.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    AbsolutePath, Digest,
    backend::{CompileError, Disk, Unit},
};

use super::{
    HOME, Ipsec, SECRETS, STATE, ipsec, script, secret,
    service::{Ground, Program, absolute, program, text_file},
    text_of,
};
use crate::{
    compile::hosts,
    request::Value,
    user_data::{
        cloud_config::{CloudConfig, Content, WriteFile},
        text::Text,
        unit_file::{Command, Setting, UnitFile},
    },
};

/// One machine.
#[derive(Debug, Default)]
pub(crate) struct Machine<'a, 'b> {
    /// Its name; machines of an autoscaling group have none of ours.
    pub(crate) hostname: Option<String>,
    /// What runs on it.
    pub(crate) units: Vec<&'a Unit<'b>>,
    /// The disk for state, where it has one.
    pub(crate) state_disk: Option<Disk>,
    /// The path of the parameters that it fetches its secrets from, where it does.
    pub(crate) parameters: Option<String>,
    /// The machines of other networks that it talks to.
    pub(crate) ipsec: Option<Ipsec>,
}

/// Whether a unit can run on such a machine.
pub(crate) fn check(unit: &Unit<'_>) -> Result<(), CompileError> {
    cloud_config(&Machine { units: vec![unit], ..Machine::default() }).map(drop)
}

/// What a machine does at its first boot.
pub(crate) fn cloud_config(machine: &Machine<'_, '_>) -> Result<Text, CompileError> {
    let mut programs = Vec::new();
    let mut reasons = Vec::new();
    let ground = Ground {
        state_disk: machine.state_disk.is_some(),
        fetches_secrets: machine.parameters.is_some(),
    };
    for unit in &machine.units {
        for (member, service) in unit.service.members() {
            match program(unit, member, service, ground) {
                Ok(made) => programs.push(made),
                Err(error) => reasons.extend(error.reasons),
            }
        }
    }
    let hosts = hosts_file(machine).map_err(|error| reasons.extend(error.reasons)).ok().flatten();
    if !reasons.is_empty() {
        return Err(CompileError { reasons });
    }

    let services = || machine.units.iter().flat_map(|unit| unit.service.members());
    let mut packages: BTreeSet<_> =
        services().flat_map(|(_, service)| &service.software.debian).cloned().collect();
    if machine.ipsec.is_some() {
        packages.extend(ipsec::PACKAGES.map(str::to_owned));
    }
    let secrets: BTreeSet<_> = machine.units.iter().flat_map(|unit| unit.secrets()).collect();
    let fetched = machine.parameters.as_ref().filter(|_| !secrets.is_empty());
    if fetched.is_some() {
        packages.extend(secret::PACKAGES.map(str::to_owned));
    }
    let mut config = CloudConfig {
        hostname: machine.hostname.clone(),
        packages: packages.into_iter().collect(),
        ..CloudConfig::default()
    };
    if !config.packages.is_empty() {
        // Early commands run at every boot; this one counts what was there before the first.
        let once = ["cloud-init-per", "once", "deployix-units"];
        config
            .early_commands
            .push([&words(once)[..], &words(["sh", "-c", script::REMEMBER_UNITS])].concat());
        config.files.push(text_file("/usr/sbin/policy-rc.d", 0o755, script::POLICY)?);
        config.commands.push(words(["sh", "-c", script::QUIET_PACKAGES]));
    }
    config.files.extend(hosts);
    if services().any(|(_, service)| service.readiness.is_some()) {
        config.files.push(text_file(&format!("{HOME}/ready"), 0o755, script::READY)?);
    }
    config.files.push(text_file("/etc/sysusers.d/deployix.conf", 0o644, users(&programs))?);
    config.commands.push(words(["systemd-sysusers", "/etc/sysusers.d/deployix.conf"]));
    if machine.parameters.is_none() {
        config.commands.push(words(["install", "-d", "-m", "0700", "--", SECRETS]));
    }
    if let Some(disk) = &machine.state_disk {
        config.files.extend(state_disk(disk)?);
        config.commands.push(words(["systemctl", "daemon-reload"]));
        config.commands.push(words(["systemctl", "enable", "--now", "deployix-state.service"]));
    }
    let mut units = vec![];
    if let Some(path) = fetched {
        config.files.extend(secret::files(path, &secrets)?);
        units.push(secret::SERVICE.to_owned());
    }
    if let Some(ipsec) = &machine.ipsec {
        config.files.extend(ipsec.files()?);
        config.commands.extend(Ipsec::commands());
        units.push(ipsec::SERVICE.to_owned());
    }
    for program in programs {
        directories(&program, machine.state_disk.is_some(), &mut config.commands)?;
        for file in program.files {
            // Programs that ship the same share it.
            if !config.files.contains(&file) {
                config.files.push(file);
            }
        }
        units.extend(program.units);
    }
    config.commands.push(words(["systemctl", "daemon-reload"]));
    // Not waited for: a service may take as long to start as what it needs on other machines.
    let start = ["systemctl", "enable", "--now", "--no-block", "--"].map(str::to_owned);
    config.commands.push(start.into_iter().chain(units).collect());
    Ok(config.print())
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// The users of all programs (sysusers.d(5)): one that a package made stays as it is, others have
/// a number that depends on their name alone, so that what is on a disk stays theirs on the next
/// machine.
fn users(programs: &[Program]) -> String {
    let names: BTreeSet<_> = programs.iter().map(|program| program.user.as_str()).collect();
    let line = |name: &&str| format!("u {name} {} \"Deployix\"\n", number(name));
    names.iter().filter(|name| **name != "root").map(line).collect()
}

/// A number above those that Debian gives to people and below those that systemd gives to
/// containers and transient users (systemd's "Users, Groups, UIDs and GIDs").
fn number(user: &str) -> u32 {
    let digest = Digest::of_bytes(user.as_bytes());
    let [a, b, c, d, ..] = *digest.as_bytes();
    40_000 + u32::from_le_bytes([a, b, c, d]) % 20_000
}

/// Makes a program's directories its user's. Through all of what is in them, since on a new machine
/// a package's user may have another number than on the one before.
fn directories(
    program: &Program,
    state_disk: bool,
    commands: &mut Vec<Vec<String>>,
) -> Result<(), CompileError> {
    let user = program.user.as_str();
    let owner = format!("{user}:{user}");
    let install = |path: &AbsolutePath| {
        words(["install", "-d", "-m", "0750", "-o", user, "-g", user, "--", path.as_str()])
    };
    for path in &program.state {
        commands.push(install(path));
        if state_disk {
            let kept = absolute(&format!("{STATE}{path}"))?;
            commands.push(install(&kept));
            commands.push(words(["chown", "-Rh", "--", &owner, kept.as_str()]));
        }
    }
    for path in &program.owned {
        commands.push(words(["chown", "--", &owner, path.as_str()]));
    }
    Ok(())
}

/// The names of upstreams, each with its addresses.
fn hosts_file(machine: &Machine<'_, '_>) -> Result<Option<WriteFile>, CompileError> {
    let mut names: BTreeMap<&str, BTreeSet<Value<String>>> = BTreeMap::new();
    let mut reasons = Vec::new();
    for unit in &machine.units {
        for upstream in &unit.upstreams {
            match hosts(unit, upstream) {
                Ok(addresses) => {
                    names.entry(upstream.fqdn.as_str()).or_default().extend(addresses);
                }
                Err(error) => reasons.extend(error.reasons),
            }
        }
    }
    if !reasons.is_empty() {
        return Err(CompileError { reasons });
    }
    let mut text = Text::from("# The upstreams of what runs here.\n");
    let mut any = false;
    for (name, addresses) in names {
        for address in addresses {
            text.append(&Text::from(vec![address]));
            text.push(&format!(" {name}\n"));
            any = true;
        }
    }
    let content = Content::Text(text);
    let file = WriteFile { path: absolute("/etc/hosts")?, mode: 0o644, append: true, content };
    Ok(any.then_some(file))
}

/// The unit that mounts the disk for state, and its script.
fn state_disk(disk: &Disk) -> Result<[WriteFile; 2], CompileError> {
    let script = format!("{HOME}/mount-state");
    let command = Command::new([&script, STATE]).map_err(|error| {
        deployix_core::backend::Remark::new(["service", "state"], error.to_string())
    })?;
    let about = [("Description", Setting::Text("the disk for state".into()))];
    let unit = UnitFile::at_boot(about, command).print();
    Ok([
        text_file(&script, 0o755, text_of(&disk.mount, &[])?)?,
        text_file("/etc/systemd/system/deployix-state.service", 0o644, unit)?,
    ])
}
