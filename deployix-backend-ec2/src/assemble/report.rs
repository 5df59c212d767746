//! `resources.json`: every resource of a target with its request, for people and other tools.

use std::collections::BTreeMap;

use deployix_core::backend::{Artifact, Assembly, CompileError, Remark, Resource};
use serde::Serialize;

use super::add_file;
use crate::resource::{self, REGION};

/// One resource, as it stands in the file.
#[derive(Serialize)]
struct Entry<'a> {
    id: &'a deployix_core::ResourceId,
    service: &'static str,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a deployix_core::backend::Input>,
    owner: String,
    after: Vec<&'a deployix_core::ResourceId>,
    digest: deployix_core::Digest,
    request: BTreeMap<String, serde_json::Value>,
}

/// Writes the file: the target's own resources and those of what runs on it, each after those it
/// needs.
pub(super) fn write(assembly: &Assembly<'_>, artifact: &mut Artifact) -> Result<(), CompileError> {
    let compiled = assembly.artifacts.iter().flat_map(|artifact| &artifact.resources);
    let all = resource::ordered(artifact.resources.iter().chain(compiled));
    let entries: Vec<_> = all.into_iter().map(entry).collect();
    let mut text = serde_json::to_string_pretty(&entries)
        .map_err(|error| Remark::new(["name"], error.to_string()))?;
    text.push('\n');
    add_file(artifact, "resources.json", text)
}

fn entry(resource: &Resource) -> Entry<'_> {
    let inputs = resource.inputs();
    let known = resource::operation(inputs);
    let (operation, service) = known.map_or(("", ""), |it| (it.as_str(), it.service().as_str()));
    Entry {
        id: resource.id(),
        service,
        operation,
        region: inputs.get(REGION),
        owner: resource.owner().to_string(),
        after: resource.after().iter().collect(),
        digest: resource.digest(),
        request: resource::parameters(inputs).into_iter().collect(),
    }
}
