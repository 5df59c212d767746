//! One functionality alone: a profile of units next to the system of its machine, or without one.
//!
//! The module of the functionality stays the one meaning. `profile/default.nix` beside it, the same
//! text for all, makes a package of what the module sets: units, users, files, rules of the packet
//! filter, and `bin/activate`, which puts them in place of the version before and restarts only what
//! changed. A machine keeps the versions as generations of
//! `/nix/var/nix/profiles/deployix/<deployment>/<functionality>`; [`HOST_SCRIPT`] goes from one to
//! the next, and back where the next does not start.

use std::collections::BTreeMap;

use deployix_core::RelativePath;
use deployix_core::backend::{CompileError, Input, Remark, Unit, Via};
use deployix_core::spec::FileContent;

use crate::extension::{NixosDeploy, NixosFunctionality, NixosTarget, Style};
use crate::syntax::{Attrs, Expr, print_with_comment};
use crate::{assemble, identity};

/// The folder of a target that makes profiles of its modules.
pub(crate) const FOLDER: &str = "profile";

/// What lies in it.
const FILES: [(&str, &str); 4] = [
    ("activate.sh", include_str!("activate.sh")),
    ("default.nix", include_str!("default.nix")),
    ("firewall.sh", include_str!("firewall.sh")),
    ("prepare.sh", include_str!("prepare.sh")),
];

/// The shell script for a machine that changes which version of a functionality it runs: `deploy
/// DEPLOYMENT FUNCTIONALITY PATH`, `rollback DEPLOYMENT FUNCTIONALITY GENERATION`, `remove
/// DEPLOYMENT FUNCTIONALITY`.
///
/// It needs root, and goes to a shell as it is, for example to `sh -s -- deploy ..` on its standard
/// input. The exit status is 0 where it was done; 1 where it was not, and what ran before runs (a
/// reason is on standard error); 2 for wrong arguments; 3 where what ran before does not run either;
/// 4 where another change held the lock for too long.
pub const HOST_SCRIPT: &str = include_str!("host.sh");

/// The files of [`FOLDER`].
pub(crate) fn files() -> impl Iterator<Item = (String, FileContent)> {
    FILES.iter().map(|(name, text)| (format!("{FOLDER}/{name}"), FileContent::plain(*text)))
}

/// How a functionality gets onto its machines: as it says itself, else as its target says.
///
/// Extensions that cannot be read are told about where they are used.
pub(crate) fn deploy(unit: &Unit<'_>) -> NixosDeploy {
    let own = unit.extensions.get::<NixosFunctionality>().ok().flatten();
    let own = own.and_then(|extension| extension.deploy);
    own.unwrap_or_else(|| target(unit).deploy)
}

/// Tells whether a functionality is a profile.
pub(crate) fn is_profile(unit: &Unit<'_>) -> bool {
    deploy(unit) == NixosDeploy::Profile
}

fn target(unit: &Unit<'_>) -> NixosTarget {
    unit.site.target.extensions.get().ok().flatten().unwrap_or_default()
}

/// What a machine without a system of this deployment cannot do for a functionality.
pub(crate) fn refusals(unit: &Unit<'_>) -> Vec<Remark> {
    let mut reasons = Vec::new();
    let own = unit.extensions.get::<NixosFunctionality>().ok().flatten();
    if is_profile(unit) && own.is_some_and(|own| own.style == Style::Modular) {
        let message = "the units of a profile are written down in the classic style";
        let remedy = "leave `style` out, or deploy it as a part of the `system`";
        reasons.push(Remark::new(["extensions", "nixos", "style"], message).remedy(remedy));
    }
    if target(unit).deploy != NixosDeploy::Profile {
        return reasons;
    }
    let name = &unit.site.target.name;
    if !is_profile(unit) {
        let message = format!("target `{name}` has no system that it could be a part of");
        let remedy = format!("remove `deploy`, or deploy target `{name}` as a `system`");
        reasons.push(Remark::new(["extensions", "nixos", "deploy"], message).remedy(remedy));
    }
    let ipsec = unit.upstreams.iter().chain(&unit.consumers).filter(|peer| peer.via == Via::Ipsec);
    for peer in ipsec {
        let message = format!(
            "it talks to `{}` over IPsec, which is set up by a machine's system, and target \
             `{name}` is deployed by profiles alone",
            peer.name
        );
        let remedy = "put both into one network, or deploy the target as a `system`";
        reasons.push(Remark::new(["upstream-hosts"], message).remedy(remedy));
    }
    reasons
}

/// What a profile's resource says besides what every functionality's does.
pub(crate) fn inputs(unit: &Unit<'_>) -> [(&'static str, Input); 3] {
    let target = target(unit);
    let addresses = unit.machines.iter().map(|&machine| {
        assemble::address(unit.site.target, machine).map_or(Input::Null, Input::from)
    });
    [
        ("addresses", Input::List(addresses.collect())),
        ("build", target.build.as_str().into()),
        ("system", target.system.as_str().into()),
    ]
}

/// What the profile of one functionality is made of besides its module: a flake that has nothing
/// else.
pub(crate) fn alone(unit: &Unit<'_>) -> Result<BTreeMap<RelativePath, FileContent>, CompileError> {
    let settings = target(unit);
    let profile = packages(unit.deployment.as_str(), &settings, std::slice::from_ref(unit));
    let outputs = Expr::from(Attrs::new().with(["packages"], profile)).module(["nixpkgs"]);
    let flake = Attrs::new()
        .with(["description"], format!("{}: {}", unit.deployment, unit.name))
        .with(["inputs", "nixpkgs", "url"], settings.nixpkgs.as_str())
        .with(["outputs"], outputs);
    let text = print_with_comment("Generated by deployix; changes here are lost.", &flake.into())
        .map_err(|error| Remark::new(["extensions", "nixos"], error.to_string()))?;
    let flake = ("flake.nix".to_owned(), FileContent::plain(text));
    files()
        .chain([flake])
        .map(|(path, content)| {
            let path = RelativePath::new(path)
                .map_err(|error| Remark::new(["name"], error.to_string()))?;
            Ok((path, content))
        })
        .collect()
}

/// The packages of a flake that are profiles, by the platform and the name; `all` is every unit of
/// the target, whose users' ids must not meet.
pub(crate) fn packages(deployment: &str, settings: &NixosTarget, all: &[Unit<'_>]) -> Attrs {
    let users: Vec<(&Unit<'_>, Vec<String>)> =
        all.iter().map(|unit| (unit, crate::compile::users(unit))).collect();
    let moved = identity::settle(users.iter().flat_map(|(_, users)| users).map(String::as_str));
    let mut packages = Attrs::new();
    for (unit, users) in users.iter().filter(|(unit, _)| is_profile(unit)) {
        let ids = moved.iter().filter(|moved| users.iter().any(|user| user == moved.user));
        let ids: Attrs = ids.map(|moved| (moved.user, moved.id)).collect();
        let mut arguments = Attrs::new()
            .with(["deployment"], deployment)
            .with(["module"], Expr::Path(format!("modules/{}.nix", unit.name)))
            .with(["name"], unit.name.as_str())
            .with(["nixpkgs"], Expr::var("nixpkgs"))
            .with(["stateVersion"], settings.state_version.as_str())
            .with(["system"], settings.system.as_str());
        if !ids.is_empty() {
            arguments.set(["ids"], ids);
        }
        let profile = Expr::var("import").apply(Expr::Path(FOLDER.to_owned())).apply(arguments);
        packages.set([settings.system.as_str(), unit.name.as_str()], profile);
    }
    packages
}
