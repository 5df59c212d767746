//! [`Code`]: what kind of finding it is.

use std::fmt;

use serde::Serialize;

/// A stable, searchable name for one kind of finding.
///
/// Codes are never renamed or reused; new ones are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A file cannot be read.
    FileUnreadable,
    /// A file is not valid TOML, YAML or JSON.
    SyntaxInvalid,
    /// A file's `version` is missing or not one that this program reads.
    VersionUnsupported,
    /// A key that nothing knows.
    KeyUnknown,
    /// A key that has to be there is not.
    KeyMissing,
    /// A value has the wrong type or form.
    ValueInvalid,
    /// Two keys or values exclude each other.
    ValuesConflict,
    /// Two things of one kind have one name.
    NameTaken,
    /// Two functionalities have one fqdn.
    FqdnTaken,
    /// An upstream host is nobody's fqdn and not declared external.
    UpstreamNotProvided,
    /// A host is declared external and is also some functionality's fqdn.
    ExternalHostProvided,
    /// A functionality's upstream offers no endpoint to connect to.
    UpstreamWithoutEndpoint,
    /// Something is named that does not exist: a target, a network, a location, an endpoint.
    ReferenceUnknown,
    /// An extension's namespace is registered by nobody, or not for this place.
    ExtensionUnknown,
    /// An extension's settings are not what its owner declared.
    ExtensionInvalid,
    /// An extension's owner is not the backend that compiles this.
    ExtensionUnsupported,
    /// A backend is named that is not registered.
    BackendUnknown,
    /// A group's members cannot run on one host as asked.
    GroupSplit,
    /// One port is used twice on one host.
    PortTaken,
    /// One file or directory is wanted twice on one host.
    PathTaken,
    /// A target has no room left.
    TargetFull,
    /// No target fits what a functionality wishes.
    TargetNotFound,
    /// Fewer replicas run than were asked for.
    ReplicasReduced,
    /// A machine has to be reached, and its address is not known.
    AddressMissing,
    /// Machines are to talk over IPsec, and nobody signs their certificates.
    AuthorityMissing,
    /// A secret stands where other processes or people could read it.
    SecretExposed,
    /// A service lowers to something that cannot run.
    ServiceInvalid,
    /// A backend refuses to compile something.
    NotCompiled,
    /// A backend compiled something with a remark.
    Noted,
    /// Two resources have one id and different contents.
    ResourceConflict,
    /// Something it depends on failed.
    Blocked,
    /// A compiled file cannot be written.
    FileNotWritten,
    /// A history cannot be read or written.
    HistoryUnusable,
    /// A target cannot be asked what stands there.
    TargetUnseen,
    /// Something of the deployment is kept by another history than its own.
    KeptByAnother,
    /// A target is elsewhere than it was.
    TargetMoved,
    /// A target is not forgotten.
    ForgetRefused,
    /// A saved plan is not carried out.
    PlanRefused,
    /// A provider does not let whoever asks do what a plan needs.
    PermissionDenied,
    /// A provider does not tell whether it would.
    PermissionUnknown,
}

impl Code {
    /// The code's text, in kebab case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FileUnreadable => "file-unreadable",
            Self::SyntaxInvalid => "syntax-invalid",
            Self::VersionUnsupported => "version-unsupported",
            Self::KeyUnknown => "key-unknown",
            Self::KeyMissing => "key-missing",
            Self::ValueInvalid => "value-invalid",
            Self::ValuesConflict => "values-conflict",
            Self::NameTaken => "name-taken",
            Self::FqdnTaken => "fqdn-taken",
            Self::UpstreamNotProvided => "upstream-not-provided",
            Self::ExternalHostProvided => "external-host-provided",
            Self::UpstreamWithoutEndpoint => "upstream-without-endpoint",
            Self::ReferenceUnknown => "reference-unknown",
            Self::ExtensionUnknown => "extension-unknown",
            Self::ExtensionInvalid => "extension-invalid",
            Self::ExtensionUnsupported => "extension-unsupported",
            Self::BackendUnknown => "backend-unknown",
            Self::GroupSplit => "group-split",
            Self::PortTaken => "port-taken",
            Self::PathTaken => "path-taken",
            Self::TargetFull => "target-full",
            Self::TargetNotFound => "target-not-found",
            Self::ReplicasReduced => "replicas-reduced",
            Self::AddressMissing => "address-missing",
            Self::AuthorityMissing => "authority-missing",
            Self::SecretExposed => "secret-exposed",
            Self::ServiceInvalid => "service-invalid",
            Self::NotCompiled => "not-compiled",
            Self::Noted => "noted",
            Self::ResourceConflict => "resource-conflict",
            Self::Blocked => "blocked",
            Self::FileNotWritten => "file-not-written",
            Self::HistoryUnusable => "history-unusable",
            Self::TargetUnseen => "target-unseen",
            Self::KeptByAnother => "kept-by-another",
            Self::TargetMoved => "target-moved",
            Self::ForgetRefused => "forget-refused",
            Self::PlanRefused => "plan-refused",
            Self::PermissionDenied => "permission-denied",
            Self::PermissionUnknown => "permission-unknown",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
