//! The inside of a machine where its target names no guest: a plain Debian with systemd.
//!
//! cloud-init installs the packages, writes files and units, makes users and directories, and starts
//! everything. Secrets are never in user data, which every program on the machine can read from the
//! metadata service: units take them with `LoadCredential=` from `/var/lib/deployix/secrets`, where
//! they are put by other means.
//!
//! * [`service`]: one program as its units;
//! * [`script`]: the shell scripts that it starts with;
//! * [`machine`]: everything together as one `#cloud-config`.

mod machine;
mod script;
mod service;

pub(crate) use machine::{Machine, cloud_config};

/// Where everything that belongs to no package is.
const HOME: &str = "/usr/local/lib/deployix";

/// Where secrets are put, one file each.
const SECRETS: &str = "/var/lib/deployix/secrets";

/// Where the disk for state is mounted.
const STATE: &str = "/srv/deployix";
