//! One functionality becomes one NixOS module.

mod files;
mod hardening;
mod member;
mod network;
mod readiness;
mod service;
mod software;
mod style;

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::backend::{CompileError, Remark, Unit, Via};
use deployix_core::spec::{FileContent, ServiceSpec};
use deployix_core::{Name, RelativePath};

use self::member::{Member, shell_template};
pub(crate) use self::network::{address_variable, addresses, sources};
pub(crate) use self::service::socket_name;
use crate::extension::{NixosFunctionality, Style};
use crate::identity;
use crate::shell::Script;
use crate::syntax::{Attrs, Expr, Part};

/// Where the machine keeps the values of secrets, in a folder for each functionality of each
/// deployment: several deployments may share a machine, and what is gone takes its own along.
pub(crate) const SECRETS: &str = "/var/lib/deployix/secrets";

/// The folder with the values of a functionality's secrets, each in a file of its name that only
/// root can read.
pub(crate) fn secrets(deployment: &Name, functionality: &Name) -> String {
    format!("{SECRETS}/{deployment}/{functionality}")
}

/// The target that is reached once every socket of an on-demand service on the machine listens.
///
/// Every service starts after it, so that all of them can connect to each other in whatever order
/// they start: whoever connects first waits in the socket's queue until the program is there.
pub(crate) const ON_DEMAND: &str = "deployix-on-demand.target";

/// Names of units that a NixOS machine has by itself, besides `systemd-..`: a service or group of
/// that name would become part of them.
const RESERVED_UNITS: [&str; 28] = [
    "amazon-init",
    "basic",
    "dbus",
    "default",
    "deployix-on-demand",
    "dhcpcd",
    "emergency",
    "firewall",
    "getty",
    "graphical",
    "multi-user",
    "network",
    "network-online",
    "network-setup",
    "nftables",
    "nix-daemon",
    "nscd",
    "paths",
    "polkit",
    "reboot",
    "rescue",
    "resolvconf",
    "shutdown",
    "sockets",
    "sshd",
    "strongswan-swanctl",
    "sysinit",
    "timers",
];

/// How the names of units begin that stand for more than one service.
const OWN_UNITS: &str = "deployix-";

/// What a module is written into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    /// A file of its own in `modules/`, with what it ships in a folder of this name beside it.
    Module(&'a str),
    /// The one text that a machine is told at its first boot; addresses of machines that are not
    /// made yet are variables.
    UserData,
}

/// A functionality as a module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// `{ lib, pkgs, ... }: ..`.
    pub(crate) expr: Expr,
    /// Files that have to lie beside it.
    pub(crate) files: BTreeMap<RelativePath, FileContent>,
}

/// What a member's units have to know of the functionality around it.
struct Surroundings {
    /// The functionality's name.
    name: String,
    /// The fqdn, or the name where there is none.
    title: String,
    /// The target that ties a group's members together.
    group_target: Option<String>,
    /// What starts first: the network, sockets, and upstreams on the same machine.
    after: Vec<String>,
    /// Where the values of its secrets are.
    secrets: String,
    /// How its units are written down.
    style: Style,
    /// Settings that its owner put over the sandbox's.
    loosened: Attrs,
}

impl Surroundings {
    /// Makes a unit stop and start again with its group.
    fn bind_to_group(&self, unit: &mut Attrs) {
        if let Some(target) = &self.group_target {
            unit.set(["partOf"], [target.as_str()]);
        }
    }

    /// What every service has started along with it.
    fn wants(&self) -> Vec<String> {
        vec![service::NETWORK.to_owned(), ON_DEMAND.to_owned()]
    }

    fn description(&self, member: &Member<'_>) -> String {
        match member.name {
            None => self.title.clone(),
            Some(name) => format!("{}, {name}", self.title),
        }
    }
}

/// The stems of the names of a functionality's services, those of initializers among them.
pub(crate) fn unit_names(unit: &Unit<'_>) -> Vec<String> {
    let names = unit.service.members().flat_map(|(member, spec)| {
        let name = unit_name(unit, member);
        let initializer = (!spec.initializer.is_empty()).then(|| format!("{name}-initializer"));
        std::iter::once(name).chain(initializer)
    });
    names.collect()
}

/// The units of a functionality that are active once it is deployed: its services, or what starts
/// them.
pub(crate) fn watched(unit: &Unit<'_>) -> Vec<String> {
    let names = unit.service.members().flat_map(|(member, spec)| {
        let name = unit_name(unit, member);
        if spec.schedule.is_some() {
            vec![format!("{name}.timer")]
        } else if spec.on_demand {
            let endpoints = spec.endpoints.iter();
            endpoints.map(|(of, at)| format!("{}.socket", socket_name(&name, of, at))).collect()
        } else {
            vec![format!("{name}.service")]
        }
    });
    names.collect()
}

/// The stem of the names of a member's units.
pub(crate) fn unit_name(unit: &Unit<'_>, member: Option<&Name>) -> String {
    match member {
        None => unit.name.to_string(),
        Some(member) => format!("{}-{member}", unit.name),
    }
}

/// The users that a functionality's services run as.
pub(crate) fn users(unit: &Unit<'_>) -> Vec<String> {
    let user = |spec: &ServiceSpec| match &spec.user {
        Some(user) => user.to_string(),
        None => identity::user_for(unit.name.as_str()),
    };
    unit.service.members().map(|(_, spec)| user(spec)).collect()
}

/// Compiles one functionality.
pub(crate) fn compile(unit: &Unit<'_>, form: Form<'_>) -> Result<Module, CompileError> {
    let mut reasons = Vec::new();
    let around = surroundings(unit, &mut reasons);
    let mut module = network::hosts(unit, form, &mut reasons);
    let mut bindings = Attrs::new().with([service::SANDBOX], hardening::sandbox());
    let mut files = BTreeMap::new();
    let mut rules = Vec::new();

    let openings = network::openings(unit, form, &mut reasons);
    if !openings.is_empty() {
        let text: Vec<Part> = openings.iter().flat_map(|opening| opening.rules()).collect();
        module.set(["networking", "firewall", "extraInputRules"], Expr::Str(text));
    }
    let stems: Vec<String> = unit_names(unit).into_iter().chain([unit.name.to_string()]).collect();
    for stem in stems.iter().filter(|stem| stem.starts_with(OWN_UNITS)) {
        let message = format!("a systemd unit called `{stem}` would be one of Deployix's own");
        reasons.push(Remark::new(["name"], message).remedy("choose another name"));
    }
    for stem in stems
        .iter()
        .filter(|stem| RESERVED_UNITS.contains(&stem.as_str()) || stem.starts_with("systemd-"))
    {
        let message = format!("NixOS itself has a systemd unit called `{stem}`");
        reasons.push(Remark::new(["name"], message).remedy("choose another name"));
    }
    for ((name, spec), user) in unit.service.members().zip(users(unit)) {
        let unit_name = unit_name(unit, name);
        let mut member = Member { name, spec, unit: unit_name, user, shipped: None, wrapper: None };
        if let Err(remark) = add_user(&mut module, &member) {
            reasons.push(remark);
        }
        if let Some(shipped) = &spec.software.path {
            let binding = member.binding("software");
            match software::ship(shipped, &binding, form) {
                Ok(folder) => {
                    files.extend(folder.files);
                    bindings.set([binding.as_str()], folder.value);
                }
                Err(message) => reasons.push(
                    member
                        .remark(["software", "path"], message)
                        .remedy("take it from a package in `software.nix`"),
                ),
            }
            member.shipped = Some(Expr::var(binding));
        }
        match software::search_path(&member) {
            Ok(path) => bindings.set([member.binding("path")], path),
            Err(remarks) => reasons.extend(remarks),
        }
        let placed = files::place(&member, form, &mut reasons);
        match wrapper(&member, placed.script.clone()) {
            Ok(Some(program)) => {
                let binding = member.binding("prepare");
                bindings.set([binding.as_str()], program);
                member.wrapper = Some(Expr::var(binding));
            }
            Ok(None) => {}
            Err(remarks) => reasons.extend(remarks),
        }
        service::add(&mut module, &mut bindings, &member, &placed, &around, &mut reasons);
        module.merge(placed.module);
        bindings.merge(placed.bindings);
        rules.extend(placed.rules);
        files.extend(placed.files);
    }
    if let Some(target) = &around.group_target {
        let name = target.trim_end_matches(".target");
        let unit = Attrs::new()
            .with(["description"], around.title.as_str())
            .with(["wantedBy"], ["multi-user.target"]);
        module.set(["systemd", "targets", name], unit);
        if matches!(around.style, Style::Modular) {
            style::without_program(&mut module, &around.name);
        }
    }
    if !rules.is_empty() {
        module.set(["systemd", "tmpfiles", "rules"], Expr::List(rules));
    }
    if !reasons.is_empty() {
        reasons.sort();
        reasons.dedup();
        return Err(CompileError { reasons });
    }
    let body = Expr::Let(bindings, Box::new(module.into()));
    Ok(Module { expr: body.module(["lib", "pkgs"]), files })
}

fn surroundings(unit: &Unit<'_>, reasons: &mut Vec<Remark>) -> Surroundings {
    let extension = unit.extensions.get::<NixosFunctionality>().unwrap_or_else(|error| {
        reasons.push(Remark::new(["extensions", "nixos"], error.reason()));
        None
    });
    let extension = extension.unwrap_or_default();
    let mut loosened = Attrs::new();
    for (name, value) in extension.service_config {
        match Expr::from_json(&value) {
            Some(value) => loosened.set([name], value),
            None => reasons.push(Remark::new(
                ["extensions", "nixos", "service-config", &name],
                "Nix has no integers over 64 bits",
            )),
        }
    }
    // An upstream that needs this functionality as well cannot be waited for.
    let local = unit.upstreams.iter().filter(|peer| peer.via == Via::Loopback && !peer.mutual);
    let units: BTreeSet<String> = local
        .map(|peer| match peer.endpoints.iter().any(|endpoint| endpoint.member.is_some()) {
            true => format!("{}.target", peer.name),
            false => format!("{}.service", peer.name),
        })
        .collect();
    let first = [service::NETWORK, ON_DEMAND].map(str::to_owned);
    let after = first.into_iter().chain(units).collect();
    let grouped = unit.service.members().any(|(name, _)| name.is_some());
    Surroundings {
        name: unit.name.to_string(),
        title: unit.fqdn.map_or_else(|| unit.name.to_string(), ToString::to_string),
        group_target: grouped.then(|| format!("{}.target", unit.name)),
        after,
        secrets: secrets(unit.deployment, unit.name),
        style: extension.style,
        loosened,
    }
}

/// Makes the user and the group of a member.
fn add_user(module: &mut Attrs, member: &Member<'_>) -> Result<(), Remark> {
    let user = member.user.as_str();
    if user == "root" {
        return Ok(());
    }
    if identity::is_reserved(user) {
        return Err(member
            .remark(["user"], format!("`{user}` is a user or group of NixOS itself"))
            .remedy("choose another name, or leave `user` out"));
    }
    // The assembly of a target overrides the default where two names' ids meet.
    let default = |id: u32| Expr::var("lib").select(["mkDefault"]).apply(id);
    let id = identity::id(user, 0);
    module.set(["users", "groups", user, "gid"], default(id));
    module.set(
        ["users", "users", user],
        Attrs::new().with(["group"], user).with(["isSystemUser"], true).with(["uid"], default(id)),
    );
    Ok(())
}

/// The program that puts secrets into files and the environment, then becomes the program that it
/// is given.
fn wrapper(member: &Member<'_>, files: Option<Script>) -> Result<Option<Expr>, Vec<Remark>> {
    let secret_env = member.spec.env.iter().filter(|(_, value)| value.as_literal().is_none());
    let mut reasons = Vec::new();
    let mut script = files;
    for (name, value) in secret_env {
        match shell_template(value) {
            Ok(word) => {
                script = Some(script.unwrap_or_else(Script::new).export(name.as_str(), word))
            }
            Err(message) => reasons.push(member.remark(["env", name.as_str()], message)),
        }
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    let Some(script) = script else { return Ok(None) };
    let script = script.line("exec \"$@\"");
    Ok(Some(script.program(&format!("{}-prepare", member.unit))))
}
