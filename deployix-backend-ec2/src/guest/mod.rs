//! The inside of a machine where its target names no guest: a plain Debian with systemd.
//!
//! cloud-init installs the packages, writes files and units, makes users and directories, and starts
//! everything. Secrets are never in user data, which every program on the machine can read from the
//! metadata service: units take them from a folder, one file each. A machine with a role fetches
//! them from Parameter Store at each boot, into `/run/deployix/secrets`; on others they are put into
//! `/var/lib/deployix/secrets` by other means.
//!
//! * [`service`]: one program as its units;
//! * [`script`]: the shell scripts that it starts with;
//! * [`secret`]: fetching secrets;
//! * [`ipsec`]: talking to machines of other networks;
//! * [`machine`]: everything together as one `#cloud-config`.

mod ipsec;
mod machine;
mod script;
mod secret;
mod service;

use deployix_core::backend::{
    CompileError, Guest, Remark, Site, Unit, UserData, UserDataPart, Via,
};
pub(crate) use ipsec::Ipsec;
pub(crate) use machine::{Machine, check, cloud_config};
pub(crate) use secret::fetches as fetches_secrets;

use crate::request::Value;

/// The id under which targets may name this guest, as they may name none.
const NATIVE: &str = "native";

/// Whether a target's machines are plain Debian ones with systemd.
pub(crate) fn is_plain(site: &Site<'_>) -> bool {
    site.target.guest.as_ref().is_none_or(|guest| guest.as_str() == NATIVE)
}

/// Whether a unit talks to machines of other networks.
pub(crate) fn talks_ipsec(unit: &Unit<'_>) -> bool {
    unit.upstreams.iter().chain(&unit.consumers).any(|peer| peer.via == Via::Ipsec)
}

/// A plain Debian with systemd, as a guest that other backends can boot as well.
///
/// The EC2 backend takes it for targets that name no guest, or `native`; it gives them a disk for
/// state besides, which a guest alone cannot.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainGuest;

impl PlainGuest {
    /// The guest.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Guest for PlainGuest {
    fn user_data(&self, _site: Site<'_>, units: &[Unit<'_>]) -> Result<UserData, CompileError> {
        let units: Vec<_> = units.iter().collect();
        if let Some(unit) = units.iter().find(|unit| talks_ipsec(unit)) {
            let message =
                format!("{} talks IPsec, which this guest sets up on EC2 only", unit.name);
            return Err(Remark::new(["upstream-hosts"], message)
                .remedy("put both ends into one network")
                .into());
        }
        let text = cloud_config(&Machine { units, ..Machine::default() })?;
        let part = |part: &Value<String>| match part {
            Value::Known(text) => UserDataPart::Text(text.clone()),
            Value::Output(output) => UserDataPart::Output(output.clone()),
        };
        Ok(UserData { parts: text.parts().iter().map(part).collect() })
    }
}

/// Where everything that belongs to no package is.
const HOME: &str = "/usr/local/lib/deployix";

/// Where secrets are put by other means, one file each.
pub(crate) const SECRETS: &str = "/var/lib/deployix/secrets";

/// Where what has secrets in it is kept while a machine runs, in memory only.
const RUNTIME: &str = "/run/deployix";

/// Where the disk for state is mounted.
const STATE: &str = "/srv/deployix";
