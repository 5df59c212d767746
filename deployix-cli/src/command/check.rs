//! `deployix check`: every problem in the specs, at once.

use deployix::core::{Name, diagnostic::Diagnostics};
use serde::Serialize;

use super::counted;
use crate::{
    arguments::Check,
    findings, pipeline,
    session::{Exit, Session},
};

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'a> {
    /// Nothing where the file cannot be understood as a whole.
    deployment: Option<&'a Name>,
    functionalities: usize,
    targets: usize,
    errors: usize,
    warnings: usize,
    diagnostics: &'a Diagnostics,
}

/// Goes as far as compiling, so that what a backend refuses is told as well.
pub(crate) fn run(arguments: &Check, session: &Session) -> Exit {
    let file = &arguments.specs.file;
    let staged = pipeline::compiled(pipeline::load(file), &deployix::registry());
    let findings = &staged.diagnostics;
    session.tell(findings);

    let connected = staged.value.as_ref().map(|compiled| compiled.connected());
    let errors = findings.errors().count();
    let document = Document {
        deployment: connected.map(|connected| connected.deployment()),
        functionalities: connected
            .map_or(0, |c| c.units().filter(|unit| unit.balancer.is_none()).count()),
        targets: connected.map_or(0, |connected| connected.sites().count()),
        errors,
        warnings: findings.len() - errors,
        diagnostics: findings,
    };
    if session.json {
        session.print_json(&document);
    } else {
        let summary = findings::summary(findings);
        session.print(&match document.deployment {
            Some(name) => format!(
                "{name}: {} on {}, {summary}\n",
                counted(document.functionalities, "functionality", "functionalities"),
                counted(document.targets, "target", "targets"),
            ),
            None => format!("{summary}\n"),
        });
    }
    Exit::of(findings)
}
