//! When a program runs, and how to tell that it is ready.

use deployix_core::{
    Name,
    spec::{Endpoint, Probe, Readiness},
};

use super::Lowering;
use crate::{compose::Healthcheck, probe, script};

/// Milliseconds between two health checks. The first comes after as many, and whoever waits for this
/// one waits for that; each check starts a process, so it is not sooner.
const CHECK_EVERY: u64 = 2_000;
/// Milliseconds after which a check has failed.
const CHECK_WITHIN: u64 = 5_000;

impl<'a> Lowering<'a, '_> {
    pub(super) fn schedule(&mut self) -> Option<String> {
        let schedule = self.spec.schedule.as_ref()?;
        let script = script::schedule(schedule);
        if script.is_none() {
            self.notes.refuse(
                &["schedule"],
                format!("`{schedule}` is a systemd calendar expression, and no systemd runs here"),
                "write `every N minutes`, `every N hours` or `daily HH:MM`, also in \
                 overrides.docker.schedule, or place it on a NixOS target",
            );
        } else {
            self.notes.remark(
                &["schedule"],
                "a script in its container waits for the time and runs it; times are the \
                 container's local time, which is UTC unless the image says otherwise",
                "set env.TZ in an image that has time zones",
            );
        }
        if self.spec.readiness.is_some() {
            self.notes.remark(
                &["readiness"],
                "a program that runs on a schedule is not checked for readiness",
                "leave readiness out",
            );
        }
        script
    }

    /// The check, and the script that it runs where it is none of the service's own.
    pub(super) fn healthcheck(&mut self) -> Option<(Healthcheck, Option<&'static str>)> {
        let Readiness { probe, within } = self.spec.readiness.as_ref()?;
        if self.spec.schedule.is_some() {
            return None;
        }
        let ours = |check: probe::Check| (check.command(), Some(check.script));
        let (command, script) = match probe {
            Probe::Tcp(name) => ours(probe::tcp(self.probed(name)?.port.get())),
            Probe::Http { endpoint, path } => ours(self.http(endpoint, path)?),
            Probe::Command(argv) => (self.argv("readiness", argv), None),
            Probe::Notify => {
                self.notes.refuse(
                    &["readiness"],
                    "Docker has no way for a program to say by itself that it is ready",
                    "set overrides.docker.readiness to a tcp, http or command probe",
                );
                return None;
            }
        };
        let check = Healthcheck {
            command,
            interval: CHECK_EVERY,
            timeout: CHECK_WITHIN,
            retries: 3,
            start_period: within.0,
        };
        Some((check, script))
    }

    pub(super) fn probed(&mut self, name: &Name) -> Option<&'a Endpoint> {
        let endpoint = self.spec.endpoints.get(name);
        let tcp = endpoint.filter(|endpoint| endpoint.protocol.as_str() == "tcp");
        if tcp.is_none() {
            self.notes.refuse(
                &["readiness"],
                format!("`{name}` is not a TCP endpoint of this program"),
                "name one, or use a command",
            );
        }
        tcp
    }

    pub(super) fn http(&mut self, name: &Name, path: &str) -> Option<probe::Check> {
        let endpoint = self.probed(name)?;
        let tls = endpoint.scheme.as_deref() == Some("https");
        let software = &self.spec.software;
        let has_client =
            software.debian.iter().any(|package| package == "curl" || package == "wget");
        if tls && software.image.is_none() && !has_client {
            self.notes.refuse(
                &["readiness"],
                "a check over HTTPS needs curl or wget in the image",
                "add curl to software.debian, also in overrides.docker, or use a tcp probe",
            );
        }
        let host = self.unit.fqdn.map_or("localhost", deployix_core::Fqdn::as_str);
        Some(probe::http(endpoint.port.get(), path, host, tls))
    }
}
