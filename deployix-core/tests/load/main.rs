//! Spec files: what they say is what is read, and what is wrong in them is told in its place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod consequences;
mod deployments;
mod folders;
mod formats;
mod interface;
mod problems;
mod robust;

use deployix_core::{
    load::{Format, SpecFile, parse_catalog, parse_deployment, parse_infrastructure},
    spec::{Catalog, Functionality},
};

fn toml(text: &str) -> SpecFile {
    SpecFile::new("x.toml", Format::Toml, text.to_owned())
}

/// Everything that is read from a catalog, in a form that compares and prints.
fn contents(catalog: &Catalog) -> String {
    catalog.functionalities.iter().map(|f| describe(&**f)).collect()
}

fn describe(functionality: &dyn Functionality) -> String {
    format!(
        "{} {:?} {:?} {:?} {} {}\n{}\n",
        functionality.name(),
        functionality.fqdn(),
        functionality.upstream_hosts(),
        functionality.machine(),
        functionality.replicas(),
        serde_json::to_string(functionality.extensions()).unwrap(),
        serde_json::to_string_pretty(&functionality.service().lower().unwrap()).unwrap(),
    )
}

/// The findings in a catalog, one a line.
fn catalog_problems(file: &SpecFile) -> String {
    parse_catalog(file, None).diagnostics.to_string()
}

/// The findings in an infrastructure file, one a line.
fn infrastructure_problems(file: &SpecFile) -> String {
    parse_infrastructure(file).diagnostics.to_string()
}

/// The findings in a deployment, one a line.
fn deployment_problems(file: &SpecFile) -> String {
    parse_deployment(file, None).diagnostics.to_string()
}
