//! Secrets from Parameter Store: a unit that fetches them at each boot, into memory, before anything
//! starts that takes them.

use std::collections::BTreeSet;

use deployix_core::{
    SecretName,
    backend::{CompileError, Remark, Unit},
};

use super::{HOME, is_plain, script, service::text_file};
use crate::{
    extension::TargetSettings,
    settings,
    user_data::{
        cloud_config::WriteFile,
        unit_file::{Command, Setting, UnitFile},
    },
};

/// Where they are put, one file each.
pub(super) const FOLDER: &str = "/run/deployix/secrets";

/// The unit that does.
pub(super) const SERVICE: &str = "deployix-secrets.service";

/// Debian's packages for it; curl signs requests as AWS wants them since its version 7.75.
pub(super) const PACKAGES: [&str; 2] = ["ca-certificates", "curl"];

/// Whether what a unit takes of secrets is fetched from Parameter Store: its machine has to have a
/// role for that, and a guest that does.
pub(crate) fn fetches(unit: &Unit<'_>) -> Result<bool, CompileError> {
    if unit.balancer.is_some() || !is_plain(&unit.site) || unit.secrets().is_empty() {
        return Ok(false);
    }
    let target: TargetSettings = settings(&unit.site.target.extensions)?;
    Ok(target.instance_profile.is_some())
}

/// The unit and its script.
pub(super) fn files(
    path: &str,
    names: &BTreeSet<&SecretName>,
) -> Result<[WriteFile; 2], CompileError> {
    let words = [&format!("{HOME}/fetch-secrets"), FOLDER, path].map(str::to_owned);
    let names = names.iter().map(ToString::to_string);
    let command = Command::new(words.into_iter().chain(names))
        .map_err(|error| Remark::new(["service"], error.to_string()))?;
    let about = [
        ("Description", Setting::Text("secrets from Parameter Store".into())),
        ("Wants", Setting::word("network-online.target")),
        ("After", Setting::word("network-online.target")),
    ];
    let unit = UnitFile::at_boot(about, command).print();
    Ok([
        text_file(&format!("{HOME}/fetch-secrets"), 0o755, script::FETCH_SECRETS)?,
        text_file(&format!("/etc/systemd/system/{SERVICE}"), 0o644, unit)?,
    ])
}
