//! How units are written down: as NixOS always took them, or as modular services.
//!
//! A modular service's units are called after its path, joined by hyphens: unit `initializer` of
//! sub-service `web` of service `shop` is `shop-web-initializer` (nixpkgs,
//! `nixos/modules/system/service/systemd/system.nix`). Those are the names that they have in the
//! classic style as well, so whatever names a unit, names the same one.

use deployix_core::backend::Remark;

use super::member::Member;
use super::service::{SANDBOX, Units};
use crate::syntax::{Attrs, Expr, Operator, Part};
use crate::unit;

/// Writes them below `systemd`.
pub(super) fn classic(module: &mut Attrs, member: &Member<'_>, units: Units) {
    let Units { mut service, start, initializer, sockets, timer } = units;
    if setting(&service, "ExecStart").is_none() {
        service.set(["serviceConfig", "ExecStart"], start.exec);
    }
    module.set(["systemd", "services", &member.unit], sandboxed(service));
    if let Some(initializer) = initializer {
        module.set(["systemd", "services", &member.initializer()], sandboxed(initializer));
    }
    for (name, socket) in sockets {
        module.set(["systemd", "sockets", &name], socket);
    }
    if let Some(timer) = timer {
        module.set(["systemd", "timers", &member.unit], timer);
    }
}

/// Writes them below `system.services`; a timer, which modular services have not, stays below
/// `systemd`.
///
/// # Errors
/// Refuses what a command line cannot be there.
pub(super) fn modular(
    module: &mut Attrs,
    member: &Member<'_>,
    functionality: &str,
    units: Units,
) -> Result<(), Remark> {
    let Units { mut service, start, initializer, sockets, timer } = units;
    check(&start.words).map_err(|message| {
        member.remark(["start"], message).remedy("leave `style` out of `extensions.nixos`")
    })?;
    // The module of modular services has defaults for both, which would start what nobody asked
    // for, and start again what has ended.
    if service.get("wantedBy").is_none() {
        service.set(["wantedBy"], Expr::List(Vec::new()));
    }
    if timer.is_some() && setting(&service, "Restart").is_none() {
        service.set(["serviceConfig", "Restart"], "no");
    }
    // Its owner's own command line instead of what NixOS makes of `process.argv`.
    if let Some(command) = setting(&service, "ExecStart").cloned() {
        let force = Expr::var("lib").select(["mkForce"]).apply(command);
        service.set(["serviceConfig", "ExecStart"], force);
    }
    let argv = start.words.into_iter().map(Expr::concat).collect();
    let mut modular = Attrs::new()
        .with(["process", "argv"], Expr::List(argv))
        .with(["systemd", "services", ""], sandboxed(service));
    if let Some(initializer) = initializer {
        modular.set(["systemd", "services", "initializer"], sandboxed(initializer));
    }
    for (name, socket) in sockets {
        let own = name.strip_prefix(&member.unit).unwrap_or(&name).trim_start_matches('-');
        modular.set(["systemd", "sockets", own], socket);
    }
    if let Some(timer) = timer {
        module.set(["systemd", "timers", &member.unit], timer);
    }
    match member.name {
        None => module.set(["system", "services", functionality], modular),
        Some(name) => {
            module.set(["system", "services", functionality, "services", name.as_ref()], modular);
        }
    }
    Ok(())
}

/// Says that a modular service has no program of its own but those of its sub-services: without
/// this, NixOS makes a unit of `process.argv`.
pub(super) fn without_program(module: &mut Attrs, functionality: &str) {
    let nothing = Expr::var("lib").select(["mkForce"]).apply(Attrs::new());
    module.set(["system", "services", functionality, "systemd", "services"], nothing);
}

/// What a service has of `serviceConfig` by now.
fn setting<'a>(service: &'a Attrs, name: &str) -> Option<&'a Expr> {
    match service.get("serviceConfig") {
        Some(Expr::Attrs(config)) => config.get(name),
        _ => None,
    }
}

/// The service with its own settings over those of the sandbox, which the module binds once.
fn sandboxed(service: Attrs) -> Attrs {
    let config = service.get("serviceConfig").cloned().unwrap_or(Expr::Attrs(Attrs::new()));
    service.with(["serviceConfig"], Expr::var(SANDBOX).then(Operator::Update, config))
}

/// Tells what cannot be said as `process.argv`.
///
/// NixOS writes it as `ExecStart=` and JSON strings, `$` and `%` doubled (nixpkgs,
/// `nixos/modules/system/service/systemd/service.nix`); systemd takes the doubles back, but not in
/// the program's path.
fn check(words: &[unit::Word]) -> Result<(), String> {
    let texts = |word: &unit::Word| -> Vec<String> {
        let text = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Value(_) => None,
        };
        word.iter().filter_map(text).collect()
    };
    if words.first().is_some_and(|program| texts(program).concat().contains('$')) {
        return Err("a modular service's program cannot have `$` in its path".to_owned());
    }
    let length = |text: String| {
        let doubled = text.matches(['$', '%']).count();
        serde_json::to_string(&text).map_or(text.len(), |json| json.len()) + doubled + 1
    };
    unit::line(words.iter().flat_map(texts).map(length).sum()).map_err(|error| error.to_string())
}
