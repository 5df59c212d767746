//! What every machine has, whatever runs on it.

use std::collections::BTreeSet;

use deployix_core::backend::{Remark, Unit};
use deployix_core::spec::Target;

use crate::compile::{ON_DEMAND, SECRETS, users};
use crate::extension::NixosTarget;
use crate::syntax::Attrs;
use crate::{identity, profile};

/// The target's own settings; what is wrong with them goes to `reasons`.
pub(crate) fn extension(target: &Target, reasons: &mut Vec<Remark>) -> NixosTarget {
    match target.extensions.get::<NixosTarget>() {
        Ok(settings) => settings.unwrap_or_default(),
        Err(error) => {
            reasons.push(Remark::new(["extensions", "nixos"], error.reason()));
            NixosTarget::default()
        }
    }
}

/// The platform, the firewall, the place of secrets, the target that all sockets are part of, and ids
/// for users whose names give the same.
pub(crate) fn base(settings: &NixosTarget, units: &[Unit<'_>]) -> (Attrs, Vec<Remark>) {
    let folders = [
        "d /var/lib/deployix 0755 root root -".to_owned(),
        format!("d {SECRETS} 0700 root root -"),
    ];
    let mut base = Attrs::new()
        .with(["networking", "firewall", "enable"], true)
        // The rules of the modules are in nftables' language; see `Opening`.
        .with(["networking", "nftables", "enable"], true)
        .with(["nixpkgs", "hostPlatform"], settings.system.as_str())
        .with(["system", "stateVersion"], settings.state_version.as_str())
        .with(["systemd", "tmpfiles", "rules"], folders)
        .with(["systemd", "targets", ON_DEMAND.trim_end_matches(".target")], on_demand());
    let mut remarks = Vec::new();
    let all: BTreeSet<String> = units.iter().flat_map(users).collect();
    // A profile makes its users itself.
    let here: BTreeSet<String> =
        units.iter().filter(|unit| !profile::is_profile(unit)).flat_map(users).collect();
    let moved = identity::settle(all.iter().map(String::as_str));
    for moved in moved.into_iter().filter(|moved| here.contains(moved.user)) {
        base.set(["users", "users", moved.user, "uid"], moved.id);
        base.set(["users", "groups", moved.user, "gid"], moved.id);
        remarks.push(Remark::new(
            ["name"],
            format!(
                "the names `{}` and `{}` give the same user id, so `{}` has {} here and another id \
                 elsewhere",
                moved.met, moved.user, moved.user, moved.id
            ),
        ));
    }
    (base, remarks)
}

/// Reached once every socket listens.
///
/// When the machine is switched to another configuration the target is stopped first, which stops
/// nothing else, and then reached again: so services that changed as well wait for sockets that are
/// new (nixpkgs, `switch-to-configuration-ng`).
fn on_demand() -> Attrs {
    Attrs::new()
        .with(["description"], "sockets of the services that start on demand")
        .with(["wantedBy"], ["sockets.target"])
        .with(["unitConfig", "X-StopOnReconfiguration"], true)
}
