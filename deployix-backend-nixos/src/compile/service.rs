//! A member's systemd units: the service, what runs before it, what starts it.

use deployix_core::backend::Remark;
use deployix_core::spec::{Protocol, Schedule};

use super::files::Placed;
use super::member::Member;
use super::readiness::{self, limit};
use super::{Surroundings, hardening};
use crate::syntax::{Attrs, Expr, Operator};
use crate::unit;

/// The name of the sandbox's settings in a module.
pub(super) const SANDBOX: &str = "sandbox";

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
    let mut refuse = |remark: Remark| reasons.push(remark);
    let common = match common(member, placed, around) {
        Ok(common) => common,
        Err(remarks) => return remarks.into_iter().for_each(refuse),
    };
    let mut after = vec!["network-online.target".to_owned()];
    after.extend(around.after.iter().cloned());

    let mut service = common.clone();
    let initializer = format!("{}-initializer.service", member.unit);
    if !member.spec.initializer.is_empty() {
        match member.exec("initializer", &member.spec.initializer) {
            Ok(command) => {
                let unit = initializer_unit(common, command, member, around, &after);
                module.set(
                    ["systemd", "services", &format!("{}-initializer", member.unit)],
                    sandboxed(unit),
                );
            }
            Err(remark) => refuse(remark),
        }
        after.push(initializer.clone());
        service.set(["requires"], [initializer]);
    }
    service.set(["description"], around.description(member));
    service.set(["after"], after);
    service.set(["wants"], ["network-online.target"]);
    if member.spec.start.is_empty() {
        refuse(
            member
                .remark(
                    ["start"],
                    "there is no command to start; only a ready image knows one by itself",
                )
                .remedy("give the command in `start`"),
        );
    } else {
        match member.exec("start", &member.spec.start) {
            Ok(command) => service.set(["serviceConfig", "ExecStart"], command),
            Err(remark) => refuse(remark),
        }
    }
    let mut config = Attrs::new();
    config.set(["KillMode"], "mixed");
    config.set(["KillSignal"], member.spec.stop.signal.as_str());
    config.set(["TimeoutStopSec"], limit(member.spec.stop.within));
    if let Err(remark) = readiness::add(&mut config, bindings, member) {
        refuse(remark);
    }

    let target = around.group_target.as_deref();
    let part_of: Vec<&str> = target.into_iter().collect();
    if !part_of.is_empty() {
        service.set(["partOf"], part_of.clone());
    }
    match (&member.spec.schedule, member.spec.on_demand) {
        (Some(_), true) => refuse(
            member
                .remark(["on-demand"], "a service runs either on demand or on a schedule")
                .remedy("remove `on-demand` or `schedule`"),
        ),
        (Some(schedule), false) => {
            config.set(["Type"], "oneshot");
            module.set(["systemd", "timers", &member.unit], timer(schedule, around, &part_of));
        }
        (None, true) => {
            config.set(["Restart"], "on-failure");
            let sockets = sockets(member, around, &part_of);
            if sockets.is_empty() {
                refuse(
                    member
                        .remark(
                            ["on-demand"],
                            "there is no endpoint for a first connection to come in by",
                        )
                        .remedy("declare the endpoint"),
                );
            }
            let units: Vec<String> =
                sockets.iter().map(|(name, _)| format!("{name}.socket")).collect();
            match service.get("requires") {
                Some(Expr::List(required)) => {
                    let all =
                        required.iter().cloned().chain(units.into_iter().map(Expr::from)).collect();
                    service.set(["requires"], Expr::List(all));
                }
                _ => service.set(["requires"], units),
            }
            for (name, socket) in sockets {
                module.set(["systemd", "sockets", &name], socket);
            }
        }
        (None, false) => {
            config.set(["Restart"], "always");
            service.set(["wantedBy"], [target.unwrap_or(MULTI_USER)]);
        }
    }
    if member.spec.schedule.is_none() {
        // Trying again never ends, but soon takes its time.
        config.set(["RestartSec"], "1s");
        config.set(["RestartSteps"], 6_i64);
        config.set(["RestartMaxDelaySec"], "1min");
        service.set(["startLimitIntervalSec"], 0_i64);
    }
    service.set(["serviceConfig"], config);
    service.set(["serviceConfig"], around.loosened.clone());
    module.set(["systemd", "services", &member.unit], sandboxed(service));
}

/// The service with its own settings over those of the sandbox, which the module binds once.
fn sandboxed(service: Attrs) -> Attrs {
    let config = service.get("serviceConfig").cloned().unwrap_or(Expr::Attrs(Attrs::new()));
    service.with(["serviceConfig"], Expr::var(SANDBOX).then(Operator::Update, config))
}

/// What the service and its initializer have in common: who runs it, in what sandbox, with what
/// environment.
fn common(
    member: &Member<'_>,
    placed: &Placed,
    around: &Surroundings,
) -> Result<Attrs, Vec<Remark>> {
    let spec = member.spec;
    let mut reasons = Vec::new();
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
    let secrets: std::collections::BTreeSet<&str> =
        spec.templates().flat_map(|(_, template)| template.secrets()).map(AsRef::as_ref).collect();
    if !secrets.is_empty() {
        let load = |name: &&str| Expr::from(format!("{name}:{}/{name}", super::SECRETS));
        config.set(["LoadCredential"], Expr::List(secrets.iter().map(load).collect()));
    }

    let mut service = Attrs::new();
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
    if !placed.triggers.is_empty() {
        service.set(["restartTriggers"], Expr::List(placed.triggers.clone()));
    }
    config.merge(around.loosened.clone());
    service.set(["serviceConfig"], config);
    if reasons.is_empty() { Ok(service) } else { Err(reasons) }
}

/// Runs to its end before the service starts for the first time since boot, or since either
/// changed.
///
/// Its failures are not passed on: the service waits while it is tried again, as long as it takes.
fn initializer_unit(
    common: Attrs,
    command: Expr,
    member: &Member<'_>,
    around: &Surroundings,
    after: &[String],
) -> Attrs {
    let mut unit = common;
    unit.set(["description"], format!("{}, initializer", around.description(member)));
    unit.set(["after"], after.to_vec());
    unit.set(["wants"], ["network-online.target"]);
    unit.set(["startLimitIntervalSec"], 0_i64);
    unit.merge(
        Attrs::new().with(
            ["serviceConfig"],
            Attrs::new()
                .with(["Type"], "oneshot")
                .with(["RemainAfterExit"], true)
                .with(["ExecStart"], command)
                .with(["Restart"], "on-failure")
                .with(["RestartMode"], "direct")
                .with(["RestartSec"], "2s")
                .with(["TimeoutStartSec"], "infinity"),
        ),
    );
    unit
}

/// Runs the service when it is time, and once after a time that was missed.
fn timer(schedule: &Schedule, around: &Surroundings, part_of: &[&str]) -> Attrs {
    let mut timer = Attrs::new()
        .with(["description"], format!("{}, {schedule}", around.name))
        .with(["wantedBy"], [around.group_target.as_deref().unwrap_or("timers.target")])
        .with(["timerConfig", "OnCalendar"], schedule.on_calendar())
        .with(["timerConfig", "Persistent"], true)
        // The default is a minute, which is too coarse for what runs every minute.
        .with(["timerConfig", "AccuracySec"], "1s");
    if !part_of.is_empty() {
        timer.set(["partOf"], part_of.to_vec());
    }
    timer
}

/// One socket unit for each endpoint, since a socket's name for `sd_listen_fds_with_names(3)`
/// belongs to its unit.
fn sockets(member: &Member<'_>, around: &Surroundings, part_of: &[&str]) -> Vec<(String, Attrs)> {
    let alone = member.spec.endpoints.len() == 1;
    let endpoints = member.spec.endpoints.iter();
    endpoints
        .map(|(name, endpoint)| {
            let unit = if alone { member.unit.clone() } else { format!("{}-{name}", member.unit) };
            let listen = match endpoint.protocol {
                Protocol::Tcp => "listenStreams",
                Protocol::Udp => "listenDatagrams",
            };
            let mut socket = Attrs::new()
                .with(["description"], format!("{}, {name}", around.description(member)))
                .with(["wantedBy"], [around.group_target.as_deref().unwrap_or("sockets.target")])
                .with([listen], [endpoint.port.to_string()])
                .with(["socketConfig", "FileDescriptorName"], name.as_str())
                .with(["socketConfig", "Service"], format!("{}.service", member.unit));
            if !part_of.is_empty() {
                socket.set(["partOf"], part_of.to_vec());
            }
            (unit, socket)
        })
        .collect()
}
