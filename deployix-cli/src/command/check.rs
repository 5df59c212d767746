//! `deployix check`: every problem in the specs, at once.

use std::collections::BTreeSet;

use deployix::core::{Name, diagnostic::Diagnostics, plan::Compiled, topology::Connected};
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
    /// How many compiled.
    functionalities: usize,
    targets: usize,
    /// Functionalities that are left out, since they failed.
    left: BTreeSet<&'a Name>,
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

    let compiled = staged.value.as_ref();
    let connected = compiled.map(Compiled::connected);
    let errors = findings.errors().count();
    let document = Document {
        deployment: connected.map(Connected::deployment),
        functionalities: compiled.map_or(0, functionalities),
        targets: connected.map_or(0, |connected| connected.sites().count()),
        left: compiled.iter().flat_map(|compiled| compiled.failed()).collect(),
        errors,
        warnings: findings.len() - errors,
        diagnostics: findings,
    };
    if session.json {
        session.print_json(&document);
    } else {
        session.print(&document.text());
    }
    Exit::of(findings)
}

/// How many functionalities compiled; load balancers do not count.
fn functionalities(compiled: &Compiled) -> usize {
    let units = compiled.connected().units().filter(|unit| unit.balancer.is_none());
    units.filter(|unit| !compiled.failed().contains(unit.name)).count()
}

impl Document<'_> {
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.deployment.is_some() {
            parts.push(format!(
                "{} on {}",
                counted(self.functionalities, "functionality", "functionalities"),
                counted(self.targets, "target", "targets")
            ));
        }
        if !self.left.is_empty() {
            parts.push(format!("{} left out", self.left.len()));
        }
        parts.push(findings::summary(self.diagnostics));
        let name = self.deployment.map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{name}{}\n", parts.join(", "))
    }
}
