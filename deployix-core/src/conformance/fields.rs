//! Nothing is silently dropped: setting any field changes what is compiled, or is refused, or is
//! remarked on.

use super::{Kit, sample};
use crate::{
    plan::Compiled,
    spec::{FileContent, FunctionalitySpec, Lowered, Protocol, ServiceBuilder, Signal, Span},
};

/// A field and a way to set it.
type Field = (&'static str, fn(ServiceBuilder) -> ServiceBuilder);

const FIELDS: [Field; 18] = [
    ("initializer", |service| service.initializer(["true"])),
    ("env", |service| service.env("KEY", "value")),
    ("a secret in env", |service| service.env("KEY", "${secret:key}")),
    ("files", |service| service.file("/etc/sample.conf", "text")),
    ("a secret in files", |service| service.file("/etc/sample.conf", "${secret:key}")),
    ("files with bytes", |service| {
        service.file_bytes("/etc/sample.bin", FileContent::plain([0, 255, 10]), 0o600)
    }),
    ("endpoints over udp", |service| service.endpoint_over("extra", 5353, Protocol::Udp)),
    ("state", |service| service.state("/var/lib/sample")),
    ("user", |service| service.user("somebody")),
    ("readiness over tcp", |service| service.ready_over_tcp("main")),
    ("readiness over http", |service| service.ready_over_http("main", "/healthz")),
    ("readiness by command", |service| service.ready_by_command(["true"])),
    ("readiness by notify", ServiceBuilder::ready_by_notify),
    ("on-demand", ServiceBuilder::on_demand),
    ("schedule", |service| service.schedule("daily 03:30")),
    ("limits.cpus", |service| service.cpus(0.5)),
    ("limits.memory", |service| service.memory("64MiB")),
    ("stop", |service| service.stop(Signal::Quit, Span::seconds(33))),
];

pub(super) fn check(kit: &Kit, failures: &mut Vec<String>) {
    // Reached by a consumer, so that endpoints matter.
    let compile = |service: ServiceBuilder| {
        let consumer = sample::functionality("consumer", sample::service(8090), &["web"])?;
        let web = sample::functionality("web", service, &[])?;
        said(kit, vec![consumer, web])
    };
    let Some(plain) = compile(sample::service(8080)) else { return };
    for (field, set) in FIELDS {
        let Some(with) = compile(set(sample::service(8080))) else { continue };
        if with == plain {
            failures.push(format!("{field} is silently dropped"));
        }
    }
    let replicas = || {
        let mut web = sample::functionality("web", sample::service(8080), &[])?;
        web.replicas = std::num::NonZeroU32::new(2)?;
        let consumer = sample::functionality("consumer", sample::service(8090), &["web"])?;
        said(kit, vec![consumer, web])
    };
    if replicas().is_some_and(|with| with == plain) {
        failures.push("replicas are silently dropped".to_owned());
    }
}

/// All that a backend says about some functionalities, as one text to compare.
fn said(kit: &Kit, specs: Vec<FunctionalitySpec<Lowered>>) -> Option<String> {
    let deployment = sample::deployment(kit.backend.id(), specs)?;
    let staged = kit.compile(deployment);
    let artifacts = |compiled: &Compiled| {
        serde_json::to_string(&(compiled.artifacts(), compiled.assembled())).ok()
    };
    Some(format!("{}\n{}", artifacts(&staged.value)?, staged.diagnostics))
}
