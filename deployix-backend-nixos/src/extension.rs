//! The settings that this backend owns, under the namespace `nixos`.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

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
/// deploy = "system"
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
    /// way in. A deploy takes them from below `/etc/nixos` of the machine, where the installation of
    /// NixOS puts them.
    pub modules: Vec<RelativePath>,
    /// Which machine builds what is deployed.
    pub build: Build,
    /// How many seconds a machine runs a new system before it goes back to the old one, unless
    /// whoever deploys comes back and confirms it; 60 unless said otherwise.
    pub confirm_within: NonZeroU16,
    /// How its functionalities get onto its machines, unless they say otherwise. With `profile` the
    /// machines are somebody else's: no system is made for them at all.
    pub deploy: NixosDeploy,
}

/// How a functionality gets onto its machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NixosDeploy {
    /// As a part of the machine's configuration, which is evaluated and switched to as a whole.
    #[default]
    System,
    /// As a profile of its own next to the machine's system, with generations of its own.
    Profile,
}

impl NixosDeploy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Profile => "profile",
        }
    }
}

/// Which machine builds what is deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Build {
    /// The machine that it is for.
    #[default]
    Host,
    /// The machine that deploys, which copies the result; for machines that are small or of which
    /// there are many.
    Here,
}

impl Build {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Here => "here",
        }
    }
}

const CONFIRM_WITHIN: NonZeroU16 = NonZeroU16::MIN.saturating_add(59);

impl Default for NixosTarget {
    fn default() -> Self {
        Self {
            system: "x86_64-linux".to_owned(),
            state_version: "25.05".to_owned(),
            nixpkgs: "github:NixOS/nixpkgs/nixos-25.11".to_owned(),
            modules: Vec::new(),
            build: Build::default(),
            confirm_within: CONFIRM_WITHIN,
            deploy: NixosDeploy::System,
        }
    }
}

impl Extension for NixosTarget {
    const NAMESPACE: &'static str = "nixos";
    const SITE: ExtensionSite = ExtensionSite::Target;
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}

/// `extensions.nixos` of a functionality: how it gets onto its machines, and settings of its systemd
/// services, over those that this backend chooses.
///
/// Values of `service-config` are systemd's, as in the option `systemd.services.<name>.serviceConfig` of NixOS. The
/// usual reason is a program that needs more than the default sandbox gives:
///
/// ```toml
/// [functionality.builder.extensions.nixos]
/// service-config = { RestrictNamespaces = false, SystemCallFilter = ["@system-service"] }
/// ```
///
/// All other settings stay as they are; `systemd-analyze security builder.service` on the machine
/// tells what is open then.
///
/// A developer ships a service to a machine that others run things on, without evaluating or
/// switching the whole of it:
///
/// ```toml
/// [functionality.visitor.extensions.nixos]
/// deploy = "profile"
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NixosFunctionality {
    /// Settings by their names in systemd.exec(5) and its neighbours. They replace what this
    /// backend sets of the same name.
    pub service_config: BTreeMap<String, Value>,
    /// How its units are written down.
    pub style: Style,
    /// As what it is deployed; what its target says where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<NixosDeploy>,
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
