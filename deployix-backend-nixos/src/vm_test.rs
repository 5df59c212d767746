//! A test for whoever owns the services: a target's machines as virtual machines, booted with the
//! configurations that the real ones get, until everything on them is ready.
//!
//! It is a module for `pkgs.testers.runNixOSTest` of nixpkgs, and a check of the flake. What is
//! outside of the target is not there: neither upstreams on other targets nor the values of secrets,
//! which all are `placeholder`.

use deployix_core::Name;
use deployix_core::backend::{CompileError, Remark, Unit};
use deployix_core::spec::Protocol;

use crate::assemble::Machine;
use crate::compile::{secrets, socket_name, unit_name};
use crate::extension::NixosTarget;
use crate::syntax::{Attrs, Expr};
use crate::unit;

/// Words that Python has for itself; what is called so gets another name in the test.
const KEYWORDS: [&str; 32] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif",
    "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
    "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The test's path below the target's folder.
pub(crate) fn path(target: &Name) -> String {
    format!("tests/{target}.nix")
}

/// `{ pkgs, ... }: pkgs.testers.runNixOSTest { .. }`.
pub(crate) fn test(
    deployment: &Name,
    target: &Name,
    settings: &NixosTarget,
    machines: &[Machine],
    units: &[&Unit<'_>],
) -> Result<Expr, CompileError> {
    let mut nodes = Attrs::new();
    let mut script = Vec::new();
    for machine in machines {
        let node = node_name(&machine.name);
        script.push(format!("{}.start()", python_name(&node)));
        nodes.set([node.as_str()], self::node(deployment, settings, machine, units)?);
    }
    for machine in machines {
        let machine_name = python_name(&node_name(&machine.name));
        let here = units.iter().filter(|unit| unit.machines.contains(&machine.index));
        script.extend(here.flat_map(|unit| waits(unit, &machine_name)));
    }
    let test = Attrs::new()
        .with(["name"], format!("{deployment}-{target}"))
        // The configurations say for which platform they are, which is refused where `pkgs` is
        // given from outside once and for all.
        .with(["node", "pkgsReadOnly"], false)
        .with(["defaults", "nixpkgs", "pkgs"], Expr::var("pkgs"))
        .with(["nodes"], nodes)
        .with(["testScript"], script.join("\n") + "\n");
    Ok(Expr::var("pkgs").select(["testers", "runNixOSTest"]).apply(test).module(["pkgs"]))
}

/// A machine: its configuration without the modules about its hardware, and something in the place
/// of each secret.
fn node(
    deployment: &Name,
    settings: &NixosTarget,
    machine: &Machine,
    units: &[&Unit<'_>],
) -> Result<Expr, CompileError> {
    let above = |path: &str| Expr::Path(format!("../{path}"));
    let mut node = Attrs::new().with(["imports"], vec![above(&machine.file)]);
    if !settings.modules.is_empty() {
        let hardware = settings.modules.iter().map(|module| above(module.as_str())).collect();
        node.set(["disabledModules"], Expr::List(hardware));
    }
    let here = units.iter().filter(|unit| unit.machines.contains(&machine.index));
    let of_one = |unit: &&Unit<'_>| {
        let folder = secrets(deployment, unit.name);
        unit.secrets().into_iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let mut rules = Vec::new();
    for path in here.flat_map(of_one) {
        let path =
            unit::text_word(&path).map_err(|error| Remark::new(["secrets"], error.to_string()))?;
        rules.push(Expr::from(format!("f {path} 0600 root root - placeholder")));
    }
    if !rules.is_empty() {
        node.set(["systemd", "tmpfiles", "rules"], Expr::List(rules));
    }
    let node_name = node_name(&machine.name);
    if node_name == machine.name {
        return Ok(node.into());
    }
    let force = Expr::var("lib").select(["mkForce"]).apply(node_name.as_str());
    Ok(Expr::from(node.with(["networking", "hostName"], force)).module(["lib"]))
}

/// Waits for everything of a functionality that is up when it is ready.
fn waits(unit: &Unit<'_>, machine: &str) -> Vec<String> {
    let wait = |name: String| format!("{machine}.wait_for_unit(\"{name}\")");
    let mut lines = Vec::new();
    for (member, spec) in unit.service.members() {
        let name = unit_name(unit, member);
        if spec.schedule.is_some() {
            lines.push(wait(format!("{name}.timer")));
        } else if spec.on_demand {
            let sockets = spec
                .endpoints
                .iter()
                .map(|(endpoint, of)| wait(format!("{}.socket", socket_name(&name, endpoint, of))));
            lines.extend(sockets);
        } else {
            lines.push(wait(format!("{name}.service")));
            let ports = spec.endpoints.values().filter(|of| of.protocol == Protocol::Tcp);
            lines.extend(ports.map(|of| format!("{machine}.wait_for_open_port({})", of.port)));
        }
    }
    lines
}

/// What a machine is called in the test: as it is, where Python has no other use for the word.
fn node_name(machine: &str) -> String {
    if KEYWORDS.contains(&machine) { format!("machine-{machine}") } else { machine.to_owned() }
}

/// The variable that the test driver makes for a machine (nixpkgs, `nixos/lib/testing/driver.nix`,
/// `pythonizeName`).
fn python_name(node: &str) -> String {
    let plain = |(index, c): (usize, char)| {
        let fits = c.is_ascii_alphabetic() || c == '_' || (index > 0 && c.is_ascii_digit());
        if fits { c } else { '_' }
    };
    node.chars().enumerate().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_variables_as_the_test_driver_names_them() {
        for (machine, variable) in [
            ("rack1", "rack1"),
            ("eu-0", "eu_0"),
            ("1st-rack", "_st_rack"),
            ("class", "machine_class"),
        ] {
            assert_eq!(python_name(&node_name(machine)), variable);
        }
    }
}
