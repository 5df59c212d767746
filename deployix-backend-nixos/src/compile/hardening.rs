//! The sandbox that every service gets unless its owner loosens it.

use deployix_core::AbsolutePath;
use deployix_core::spec::ServiceSpec;

use crate::syntax::Attrs;

/// The settings; `systemd-analyze security` rates them "OK" or better.
///
/// What many common programs need is left allowed: memory that is both writable and executable (just-in-time
/// compilers), files of `/proc` (runtimes that size themselves), user ids of other services (peer credentials).
pub(super) fn settings(spec: &ServiceSpec) -> Attrs {
    let binds_low_port = !spec.on_demand && spec.endpoints.values().any(|e| e.port.get() < 1024);
    let capabilities = if binds_low_port { "CAP_NET_BIND_SERVICE" } else { "" };
    let in_homes = paths(spec).any(|path| is_below(path, &["/home", "/root", "/run/user"]));
    let mut settings: Attrs = [
        ("AmbientCapabilities", capabilities),
        ("CapabilityBoundingSet", capabilities),
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
    if in_homes {
        settings.set(["ProtectHome"], "read-only");
    } else {
        settings.set(["ProtectHome"], true);
    }
    settings
}

fn paths(spec: &ServiceSpec) -> impl Iterator<Item = &AbsolutePath> {
    spec.state.iter().chain(spec.files.keys())
}

/// Tells whether a path is one of some folders or below one.
pub(super) fn is_below(path: &AbsolutePath, folders: &[&str]) -> bool {
    folders.iter().any(|folder| {
        path.as_str().strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
