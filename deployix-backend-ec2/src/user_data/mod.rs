//! What a machine does at its first boot, as typed trees with one printer each.
//!
//! * [`text`]: text with holes that are filled in once addresses are known;
//! * `yaml`: the only place that writes YAML;
//! * [`cloud_config`]: cloud-init's `#cloud-config`;
//! * [`unit_file`]: systemd units;
//! * [`shell`]: words of the shell;
//! * [`pack`]: size limit and compression;
//! * [`fetch`]: user data that fetches what does not fit.

pub mod cloud_config;
pub mod fetch;
pub mod pack;
pub mod shell;
pub mod text;
pub mod unit_file;
mod yaml;
