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
/// nixpkgs = "github:NixOS/nixpkgs/nixos-25.05"
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
    /// The flake that nixpkgs comes from; `github:NixOS/nixpkgs/nixos-25.05` unless said otherwise.
    pub nixpkgs: String,
    /// Further NixOS modules, by their path below the target's folder: hardware, boot loader, the
    /// way in.
    pub modules: Vec<RelativePath>,
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

impl Default for NixosTarget {
    fn default() -> Self {
        Self {
            system: "x86_64-linux".to_owned(),
            state_version: "25.05".to_owned(),
            nixpkgs: "github:NixOS/nixpkgs/nixos-25.05".to_owned(),
            modules: Vec::new(),
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
    /// As what it is deployed; what its target says where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy: Option<NixosDeploy>,
}

impl Extension for NixosFunctionality {
    const NAMESPACE: &'static str = "nixos";
    const SITE: ExtensionSite = ExtensionSite::Functionality;
    // What is loosened here is loosened nowhere else, so leaving it out elsewhere is safe.
    const IF_UNSUPPORTED: IfUnsupported = IfUnsupported::Note;
}
