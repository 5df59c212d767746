//! The sandbox that every service gets unless its owner loosens it.

use deployix_core::AbsolutePath;
use deployix_core::spec::ServiceSpec;

use crate::syntax::Attrs;

/// The settings that are the same for every service; `systemd-analyze security` rates them "OK".
///
/// What many common programs need is left allowed: memory that is both writable and executable
/// (just-in-time compilers), files of `/proc` (runtimes that size themselves), user ids of other
/// services (peer credentials).
pub(super) fn sandbox() -> Attrs {
    let mut settings: Attrs = [
        ("AmbientCapabilities", ""),
        ("CapabilityBoundingSet", ""),
        ("DevicePolicy", "closed"),
        ("KeyringMode", "private"),
        ("ProtectProc", "invisible"),
        ("ProtectSystem", "strict"),
        ("SystemCallArchitectures", "native"),
        ("SystemCallErrorNumber", "EPERM"),
        ("UMask", "0077"),
    ]
    .into_iter()
    .collect();
    for on in [
        "LockPersonality",
        "NoNewPrivileges",
        "PrivateDevices",
        "PrivateTmp",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHome",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "RemoveIPC",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
    ] {
        settings.set([on], true);
    }
    // Netlink is how the C library lists the machine's own addresses.
    settings.set(["RestrictAddressFamilies"], ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"]);
    settings.set(["SystemCallFilter"], ["@system-service", "~@privileged"]);
    settings
}

/// What one service needs to be different: a port below 1024, files in homes.
pub(super) fn exceptions(spec: &ServiceSpec) -> Attrs {
    let mut settings = Attrs::new();
    if !spec.on_demand && spec.endpoints.values().any(|endpoint| endpoint.port.get() < 1024) {
        settings.set(["AmbientCapabilities"], "CAP_NET_BIND_SERVICE");
        settings.set(["CapabilityBoundingSet"], "CAP_NET_BIND_SERVICE");
    }
    if paths(spec).any(|path| is_below(path, &["/home", "/root", "/run/user"])) {
        settings.set(["ProtectHome"], "read-only");
    }
    settings
}

fn paths(spec: &ServiceSpec) -> impl Iterator<Item = &AbsolutePath> {
    spec.state.iter().chain(spec.files.keys())
}

/// Tells whether a path is one of some folders or below one.
pub(super) fn is_below(path: &AbsolutePath, folders: &[&str]) -> bool {
    folders.iter().any(|folder| {
        path.as_str()
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
