//! How systemd learns that a service is ready, so that whatever comes after it waits.

use deployix_core::backend::Remark;
use deployix_core::spec::{Endpoint, Probe, Protocol, Span};

use super::files::tool;
use super::member::Member;
use super::software;
use crate::shell::{Script, Word};
use crate::syntax::{Attrs, Expr};
use crate::unit;

/// A span for a time limit of systemd, where 0 means no limit at all.
pub(super) fn limit(span: Span) -> String {
    if span.0 == 0 { "1ms".to_owned() } else { span.to_string() }
}

/// Adds what a member's readiness comes to.
///
/// A probe runs as `ExecStartPost`, again and again until it succeeds; until then the unit is
/// "activating". It fails, and the start with it, once the program has ended; the time limit of the
/// start ends both the probe and the service that does not get there.
pub(super) fn add(
    config: &mut Attrs,
    bindings: &mut Attrs,
    member: &Member<'_>,
) -> Result<(), Remark> {
    let Some(readiness) = &member.spec.readiness else {
        config.set(["Type"], "exec");
        return Ok(());
    };
    if member.spec.schedule.is_some() {
        return Err(member
            .remark(["readiness"], "a service with a schedule runs to its end and is never ready")
            .remedy("remove `readiness`"));
    }
    config.set(["TimeoutStartSec"], limit(readiness.within));
    let sleep = tool("sleep");
    let script = match &readiness.probe {
        Probe::Notify => {
            config.set(["Type"], "notify");
            config.set(["NotifyAccess"], "main");
            return Ok(());
        }
        Probe::Tcp(name) => {
            Script::new().until_connected(endpoint(member, name)?.port.get(), sleep)
        }
        Probe::Http { endpoint: name, path } => {
            let endpoint = endpoint(member, name)?;
            let scheme = if endpoint.scheme.as_deref() == Some("https") { "https" } else { "http" };
            let url = format!("{scheme}://127.0.0.1:{}{path}", endpoint.port);
            let curl = Word::value(Expr::var("pkgs").select(["curl"])).then_text("/bin/curl");
            // A certificate names the fqdn and not the loopback address; readiness is asked for
            // here, not identity.
            let options = [
                "--insecure",
                "--noproxy",
                "*",
                "--globoff",
                "--silent",
                "--fail",
                "--max-time",
                "5",
            ];
            let words = options.into_iter().chain(["--output", "/dev/null", &url]).map(Word::text);
            Script::new().until(std::iter::once(curl).chain(words), sleep)
        }
        Probe::Command(words) => {
            let words = member.command("readiness", words)?;
            Script::new().until(words.iter().map(software::shell_word), sleep)
        }
    };
    config.set(["Type"], "exec");
    let name = member.binding("ready");
    bindings.set([name.as_str()], script.program(&format!("{}-ready", member.unit)));
    // A command may need the secrets of the environment; the other probes do not, and before
    // version 255 systemd has no credentials for what runs after the start.
    let wrapper = member.wrapper.as_ref().filter(|_| matches!(readiness.probe, Probe::Command(_)));
    let words: Vec<unit::Word> = wrapper
        .into_iter()
        .chain([&Expr::var(name)])
        .map(|word| vec![word.clone().into()])
        .collect();
    let command =
        unit::command(&words).map_err(|error| member.remark(["readiness"], error.to_string()))?;
    config.set(["ExecStartPost"], command);
    Ok(())
}

fn endpoint<'a>(member: &Member<'a>, name: &deployix_core::Name) -> Result<&'a Endpoint, Remark> {
    match member.spec.endpoints.get(name) {
        Some(endpoint) if endpoint.protocol == Protocol::Tcp => Ok(endpoint),
        Some(_) => Err(member
            .remark(
                ["readiness"],
                format!("endpoint `{name}` is not of TCP, so nobody can connect to it"),
            )
            .remedy("probe a TCP endpoint, or use `command`")),
        None => Err(member.remark(["readiness"], format!("there is no endpoint `{name}`"))),
    }
}
