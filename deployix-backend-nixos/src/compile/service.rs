//! A member's systemd units: the service, what runs before it, what starts it.

use std::collections::BTreeSet;

use deployix_core::Name;
use deployix_core::backend::Remark;
use deployix_core::spec::{Endpoint, Protocol, Schedule};

use super::files::Placed;
use super::member::{Line, Member};
use super::readiness::{self, limit};
use super::{ON_DEMAND, Surroundings, hardening, style};
use crate::extension::Style;
use crate::syntax::{Attrs, Expr};
use crate::unit;

/// The name of the sandbox's settings in a module.
pub(super) const SANDBOX: &str = "sandbox";

/// The target that is reached when the machine's network is there.
pub(super) const NETWORK: &str = "network-online.target";

/// The target that everything that runs all the time belongs to.
const MULTI_USER: &str = "multi-user.target";

/// Adds a member's units to the module.
pub(super) fn add(
    module: &mut Attrs,
    bindings: &mut Attrs,
    member: &Member<'_>,
    placed: &Placed,
    around: &Surroundings,
    reasons: &mut Vec<Remark>,
) {
    let spec = member.spec;
    let common = common(member, placed, around, reasons);
    let mut service = common.clone().with(["description"], around.description(member));
    let mut after = around.after.clone();
    let mut requires = Vec::new();
    let mut wants = around.wants();
    let mut units = Units::default();

    if !spec.initializer.is_empty() {
        match member.line("initializer", &spec.initializer) {
            Ok(line) => units.initializer = Some(initializer(common, line.exec, member, around)),
            Err(remark) => reasons.push(remark),
        }
        let unit = format!("{}.service", member.initializer());
        after.push(unit.clone());
        // What requires a unit is stopped when that is restarted, and a run that has begun is to
        // end by itself.
        if spec.schedule.is_some() { wants.push(unit) } else { requires.push(unit) }
    }
    if spec.start.is_empty() {
        let what = "there is no command to start; only a ready image knows one by itself";
        reasons.push(member.remark(["start"], what).remedy("give the command in `start`"));
    } else {
        match member.line("start", &spec.start) {
            Ok(line) => units.start = line,
            Err(remark) => reasons.push(remark),
        }
    }
    let mut config = Attrs::new()
        .with(["KillMode"], "mixed")
        .with(["KillSignal"], spec.stop.signal.as_str())
        .with(["TimeoutStopSec"], limit(spec.stop.within));
    if let Err(remark) = readiness::add(&mut config, bindings, member) {
        reasons.push(remark);
    }
    if let Some(schedule) = &spec.schedule {
        config.set(["Type"], "oneshot");
        service.set(["restartIfChanged"], false);
        units.timer = Some(timer(schedule, around));
    } else {
        if spec.on_demand {
            config.set(["Restart"], "on-failure");
            units.sockets = sockets(member, around);
            requires.extend(units.sockets.iter().map(|(name, _)| format!("{name}.socket")));
        } else {
            config.set(["Restart"], "always");
            service.set(["wantedBy"], [around.group_target.as_deref().unwrap_or(MULTI_USER)]);
        }
        // Trying again never ends, but soon takes its time.
        config.merge(
            Attrs::new()
                .with(["RestartSec"], "1s")
                .with(["RestartSteps"], 6_i64)
                .with(["RestartMaxDelaySec"], "1min"),
        );
        service.set(["startLimitIntervalSec"], 0_i64);
    }
    service.set(["after"], after);
    service.set(["wants"], wants);
    if !requires.is_empty() {
        service.set(["requires"], requires);
    }
    around.bind_to_group(&mut service);
    service.set(["serviceConfig"], config);
    service.set(["serviceConfig"], around.loosened.clone());
    units.service = service;
    match around.style {
        Style::Classic => style::classic(module, member, units),
        Style::Modular => {
            if let Err(remark) = style::modular(module, member, &around.name, units) {
                reasons.push(remark);
            }
        }
    }
}

/// A member's units before a style gives them their place in the module.
#[derive(Default)]
pub(super) struct Units {
    /// The service, without the command line that it starts.
    pub(super) service: Attrs,
    /// That command line.
    pub(super) start: Line,
    /// What runs before it.
    pub(super) initializer: Option<Attrs>,
    /// What is opened before it, by the stem of the unit's name.
    pub(super) sockets: Vec<(String, Attrs)>,
    /// What starts it when it is time.
    pub(super) timer: Option<Attrs>,
}

/// What the service and its initializer have in common: who runs it, after what, in what sandbox,
/// with what environment.
fn common(
    member: &Member<'_>,
    placed: &Placed,
    around: &Surroundings,
    reasons: &mut Vec<Remark>,
) -> Attrs {
    let spec = member.spec;
    let mut config = hardening::exceptions(spec);
    config.set(["User"], member.user.as_str());
    config.set(["Group"], member.user.as_str());
    if !placed.writable.is_empty() {
        match unit::list(placed.writable.iter().map(String::as_str)) {
            Ok(paths) => config.set(["ReadWritePaths"], paths),
            Err(error) => reasons.push(member.remark(["state"], error.to_string())),
        }
    }
    if let Some(cpus) = spec.limits.cpus {
        let tenths = if cpus.0 % 10 == 0 { String::new() } else { format!(".{}", cpus.0 % 10) };
        config.set(["CPUQuota"], format!("{}{tenths}%", cpus.0 / 10));
    }
    if let Some(memory) = spec.limits.memory {
        config.set(["MemoryMax"], memory.0.to_string());
    }
    let secrets: BTreeSet<&str> =
        spec.templates().flat_map(|(_, template)| template.secrets()).map(AsRef::as_ref).collect();
    if !secrets.is_empty() {
        let load = |name: &&str| Expr::from(format!("{name}:{}/{name}", around.secrets));
        config.set(["LoadCredential"], Expr::List(secrets.iter().map(load).collect()));
    }

    // The directory of the service and its initializer. It stays while the service is stopped:
    // what the initializer left there is for every start.
    config.set(["RuntimeDirectory"], member.runtime_directory());
    config.set(["RuntimeDirectoryMode"], "0700");
    config.set(["RuntimeDirectoryPreserve"], true);

    let mut service = Attrs::new()
        .with(["after"], around.after.clone())
        .with(["wants"], around.wants())
        // Restarted in one step once the new configuration is there, instead of stopped before and
        // started after (nixpkgs, `switch-to-configuration-ng`): the gap is short, and sockets stay
        // open over it.
        .with(["stopIfChanged"], false);
    for (name, value) in &spec.env {
        let Some(value) = value.as_literal() else { continue };
        match unit::environment(name.as_str(), value) {
            // NixOS sets PATH itself, from the option `path`.
            Ok(value) if name.as_str() == "PATH" => {
                let force = Expr::var("lib").select(["mkForce"]).apply(value.as_str());
                service.set(["environment", "PATH"], force);
                config.set(["ExecSearchPath"], value);
            }
            Ok(value) => service.set(["environment", name.as_str()], value),
            Err(error) => reasons.push(member.remark(["env", name.as_str()], error.to_string())),
        }
    }
    if !spec.env.keys().any(|name| name.as_str() == "PATH") {
        let path = Expr::var(member.binding("path"));
        let force = Expr::var("lib").select(["mkForce"]).apply(path.clone());
        service.set(["environment", "PATH"], force);
        config.set(["ExecSearchPath"], path);
    }
    if !placed.links.is_empty() {
        let links = Expr::List(placed.links.clone());
        service.set(["unitConfig", "AssertPathIsSymbolicLink"], links);
    }
    if !placed.triggers.is_empty() {
        service.set(["restartTriggers"], Expr::List(placed.triggers.clone()));
    }
    config.merge(around.loosened.clone());
    service.with(["serviceConfig"], config)
}

/// Runs to its end before the service starts for the first time since boot, or since either
/// changed.
///
/// Its failures are not passed on: the service waits while it is tried again, as long as it takes.
fn initializer(common: Attrs, command: Expr, member: &Member<'_>, around: &Surroundings) -> Attrs {
    common
        .with(["description"], format!("{}, initializer", around.description(member)))
        .with(["startLimitIntervalSec"], 0_i64)
        .with(
            ["serviceConfig"],
            Attrs::new()
                .with(["Type"], "oneshot")
                .with(["RemainAfterExit"], true)
                .with(["ExecStart"], command)
                .with(["Restart"], "on-failure")
                .with(["RestartMode"], "direct")
                .with(["RestartSec"], "2s")
                .with(["TimeoutStartSec"], "infinity"),
        )
}

/// Runs the service when it is time, and once after a time that was missed.
fn timer(schedule: &Schedule, around: &Surroundings) -> Attrs {
    let mut timer = Attrs::new()
        .with(["description"], format!("{}, {schedule}", around.name))
        .with(["wantedBy"], [around.group_target.as_deref().unwrap_or("timers.target")])
        .with(["timerConfig", "OnCalendar"], schedule.on_calendar())
        .with(["timerConfig", "Persistent"], true)
        // The default is a minute, which is too coarse for what runs every minute.
        .with(["timerConfig", "AccuracySec"], "1s");
    around.bind_to_group(&mut timer);
    timer
}

/// One socket unit for each endpoint, since a socket's name for `sd_listen_fds_with_names(3)`
/// belongs to its unit.
///
/// What it listens on is part of its name: NixOS leaves a socket alone that is another after a
/// switch (nixpkgs, `switch-to-configuration-ng`), but stops one that is gone and starts one that is
/// new.
fn sockets(member: &Member<'_>, around: &Surroundings) -> Vec<(String, Attrs)> {
    let endpoints = member.spec.endpoints.iter();
    endpoints
        .map(|(name, endpoint)| {
            let unit = socket_name(&member.unit, name, endpoint);
            let listen = match endpoint.protocol {
                Protocol::Tcp => "listenStreams",
                Protocol::Udp => "listenDatagrams",
            };
            let wanted_by = [ON_DEMAND].into_iter().chain(around.group_target.as_deref());
            let mut socket = Attrs::new()
                .with(["description"], format!("{}, {name}", around.description(member)))
                .with(["before"], [ON_DEMAND])
                .with(["wantedBy"], wanted_by.collect::<Vec<_>>())
                .with([listen], [endpoint.port.to_string()])
                .with(["socketConfig", "FileDescriptorName"], name.as_str())
                .with(["socketConfig", "Service"], format!("{}.service", member.unit));
            around.bind_to_group(&mut socket);
            (unit, socket)
        })
        .collect()
}

/// The stem of a socket's name.
pub(crate) fn socket_name(unit: &str, name: &Name, endpoint: &Endpoint) -> String {
    let protocol = match endpoint.protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "-udp",
    };
    format!("{unit}-{name}-{}{protocol}", endpoint.port)
}
