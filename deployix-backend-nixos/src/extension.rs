//! The settings that this backend owns, under the namespace `nixos`.

use std::collections::BTreeMap;

use deployix_core::RelativePath;
use deployix_core::spec::{Extension, ExtensionSite, IfUnsupported};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `extensions.nixos` of a target: what its machines are.
///
/// ```toml
/// [target.rack1.extensions.nixos]
/// system = "aarch64-linux"
/// nixpkgs = "github:NixOS/nixpkgs/nixos-25.11"
/// state-version = "25.05"
/// modules = ["hardware-configuration.nix"]
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NixosTarget {
    /// The platform, as nixpkgs names it; `x86_64-linux` unless said otherwise.
    pub system: String,
    /// The NixOS release that the machine was first installed with, for data whose form depends on
    /// it; `25.05` unless said otherwise.
    pub state_version: String,
    /// The flake that nixpkgs comes from; `github:NixOS/nixpkgs/nixos-25.11` unless said otherwise.
    pub nixpkgs: String,
    /// Further NixOS modules, by their path below the target's folder: hardware, boot loader, the
    /// way in.
    pub modules: Vec<RelativePath>,
}

impl Default for NixosTarget {
    fn default() -> Self {
        Self {
            system: "x86_64-linux".to_owned(),
            state_version: "25.05".to_owned(),
            nixpkgs: "github:NixOS/nixpkgs/nixos-25.11".to_owned(),
            modules: Vec::new(),
        }
    }
}

impl Extension for NixosTarget {
    const NAMESPACE: &'static str = "nixos";
    const SITE: ExtensionSite = ExtensionSite::Target;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}

/// `extensions.nixos` of a functionality: settings of its systemd services, over those that this
/// backend chooses.
///
/// Values are systemd's, as in the option `systemd.services.<name>.serviceConfig` of NixOS. The
/// usual reason is a program that needs more than the default sandbox gives:
///
/// ```toml
/// [functionality.builder.extensions.nixos]
/// service-config = { RestrictNamespaces = false, SystemCallFilter = ["@system-service"] }
/// ```
///
/// All other settings stay as they are; `systemd-analyze security builder.service` on the machine
/// tells what is open then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NixosFunctionality {
    /// Settings by their names in systemd.exec(5) and its neighbours. They replace what this
    /// backend sets of the same name.
    pub service_config: BTreeMap<String, Value>,
    /// How its units are written down.
    pub style: Style,
}

/// How a functionality's units are written down in its module; what runs is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Style {
    /// As `systemd.services.<unit>`, which every release of NixOS takes.
    #[default]
    Classic,
    /// As a modular service, `system.services.<functionality>`, with a sub-service for each member
    /// of a group: for NixOS 25.11 and newer, where `process.argv` is the command line
    /// (<https://nixos.org/manual/nixos/unstable/#modular-services>).
    ///
    /// Units keep their names. Timers and targets, which modular services have not, stand beside
    /// it.
    Modular,
}

impl Extension for NixosFunctionality {
    const NAMESPACE: &'static str = "nixos";
    const SITE: ExtensionSite = ExtensionSite::Functionality;
    // What is loosened here is loosened nowhere else, so leaving it out elsewhere is safe.
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}
