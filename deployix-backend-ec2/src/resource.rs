//! Between requests and the core's resources.

use std::collections::BTreeMap;

use deployix_core::{
    ResourceId, SecretName,
    backend::{CompileError, Input, Inputs, OutputRef, Owner, Remark, Resource},
};
use serde_json::Value as Json;

use crate::{
    naming,
    request::{OUTPUT_KEY, Operation, Request},
};

/// The inputs that are not the request's own parameters; those start with an upper-case letter.
pub const OPERATION: &str = "operation";
/// The region that the request goes to; that of whoever deploys where it is not there.
pub const REGION: &str = "region";
/// The launch template beside what is started from it. The request names it by its contents alone, so
/// this has whatever is started from it follow where it is made anew, and those before are to go.
const TEMPLATE: &str = "launch-template";
/// What a launch template gives for that.
pub(crate) const TEMPLATE_ID: &str = "LaunchTemplateId";

/// The only key of a secret in a request's JSON, as in that of the core's inputs.
const SECRET_KEY: &str = "$secret";

/// Tells that a resource is none of this backend's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not say which operation makes it.
    #[error("it has no operation")]
    NoOperation,
    /// It says one that this version does not know.
    #[error("no operation is named {0:?}")]
    UnknownOperation(String),
    /// Its parameters are not those of its operation.
    #[error("it is no {operation}")]
    Parameters {
        /// The operation.
        operation: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A resource that one request makes.
///
/// # Errors
/// Where the request is no JSON, which none is.
pub(crate) fn resource(
    id: ResourceId,
    owner: Owner,
    region: Option<&str>,
    request: impl Into<Request>,
    after: impl IntoIterator<Item = ResourceId>,
) -> Result<Resource, CompileError> {
    let request = request.into();
    let parameters = request.parameters().map_err(|error| {
        Remark::new(["name"], format!("the request {} of {id}: {error}", request.operation()))
    })?;
    let mut inputs = match parameters {
        Json::Object(map) => map.into_iter().map(|(key, json)| (key, input(json))).collect(),
        _ => Inputs::new(),
    };
    inputs.insert(OPERATION, request.operation().into());
    if matches!(request, Request::RunInstances(_) | Request::CreateAutoScalingGroup(_)) {
        inputs.insert(TEMPLATE, Input::output(naming::beside(&id, TEMPLATE)?, TEMPLATE_ID));
    }
    if let Some(region) = region {
        inputs.insert(REGION, region.into());
    }
    Ok(Resource::new(id, owner, inputs, after))
}

/// The operation that makes a resource, from its inputs.
///
/// # Errors
/// Where the inputs are not those of a resource of this backend.
pub fn operation(inputs: &Inputs) -> Result<Operation, ReadError> {
    let Some(Input::Text(name)) = inputs.get(OPERATION) else {
        return Err(ReadError::NoOperation);
    };
    Operation::named(name).ok_or_else(|| ReadError::UnknownOperation(name.clone()))
}

/// The request that makes a resource, from its inputs: as compiled, or with outputs filled in.
///
/// # Errors
/// Where the inputs are not those of a resource of this backend.
pub fn request(inputs: &Inputs) -> Result<Request, ReadError> {
    let operation = operation(inputs)?.as_str();
    Request::parse(operation, Json::Object(parameters(inputs)))
        .map_err(|source| ReadError::Parameters { operation: operation.to_owned(), source })
}

/// The request's own parameters among the inputs, as JSON.
#[must_use]
pub fn parameters(inputs: &Inputs) -> serde_json::Map<String, Json> {
    let own = inputs.iter().filter(|(key, _)| key.starts_with(|c: char| c.is_ascii_uppercase()));
    own.map(|(key, input)| (key.to_string(), json(input))).collect()
}

fn input(json: Json) -> Input {
    match json {
        Json::Null => Input::Null,
        Json::Bool(value) => Input::Bool(value),
        // All numbers in requests are ports, counts and sizes.
        Json::Number(number) => Input::Integer(number.as_i64().unwrap_or_default()),
        Json::String(text) => Input::Text(text),
        Json::Array(items) => Input::List(items.into_iter().map(input).collect()),
        Json::Object(mut map) => {
            if let Some(output) = map.remove(OUTPUT_KEY).and_then(output) {
                return Input::Output(output.into());
            }
            if let Some(secret) = map.remove(SECRET_KEY).and_then(secret) {
                return Input::Secret(secret);
            }
            Input::Map(map.into_iter().map(|(key, json)| (key, input(json))).collect())
        }
    }
}

fn output(json: Json) -> Option<OutputRef> {
    let resource = ResourceId::new(json.get("resource")?.as_str()?).ok()?;
    Some(OutputRef { resource, output: json.get("output")?.as_str()?.to_owned() })
}

fn secret(json: Json) -> Option<SecretName> {
    SecretName::new(json.as_str()?).ok()
}

fn json(input: &Input) -> Json {
    // An input is JSON in the form that requests read.
    serde_json::to_value(input).unwrap_or_default()
}

/// Puts resources into an order in which each comes after those it needs, as far as they are among
/// them; otherwise by id.
#[must_use]
pub fn ordered<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Vec<&'a Resource> {
    let mut waiting: BTreeMap<_, _> =
        resources.into_iter().map(|resource| (resource.id(), resource)).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready: Vec<_> = waiting
            .iter()
            .filter(|(_, resource)| !resource.after().iter().any(|id| waiting.contains_key(id)))
            .map(|(&id, _)| id)
            .collect();
        // A circle cannot be made here; were there one, it is shown rather than dropped.
        let ready = if ready.is_empty() { waiting.keys().copied().collect() } else { ready };
        order.extend(ready.into_iter().filter_map(|id| waiting.remove(id)));
    }
    order
}
