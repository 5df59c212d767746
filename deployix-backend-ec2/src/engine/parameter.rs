//! Parameters of Parameter Store: secrets, written with their value as it is when a step is done.
//!
//! | after this call | the same step, done again, finds |
//! |---|---|
//! | made or overwritten | a parameter of the deployment with the digest of before: it is overwritten |
//! | tagged with its digest | the same, with its own digest |

use deployix_core::backend::{BackendError, ErrorKind, StepContext};

use super::{
    call::{Filter, Write},
    caller::{Caller, carried_out, refused},
    job::{Job, MADE_AS, Outputs, tag},
    kind::{Kind, Once, VISIBLE},
    shape::Parameter,
    wait::Waiting,
};
use crate::{
    naming::{DEPLOYMENT, RESOURCE},
    request::{ParameterValue, PutParameter, Service, Tag},
};

impl Kind for Parameter {
    type Request = PutParameter;

    const SERVICE: Service = Service::Ssm;
    const NOUN: &'static str = "the parameter";
    const ONCE: Once = Once::Name;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn tags(&self) -> &[Tag] {
        &self.tags
    }

    fn add_tags(request: &mut PutParameter, tags: &[Tag]) {
        request.tags.extend_from_slice(tags);
        request.tags.sort();
    }

    fn compiled_tags(request: &PutParameter) -> Vec<Tag> {
        request.tags.clone()
    }

    fn fits(&self, _: &Job<'_>, request: &PutParameter) -> bool {
        self.name == request.name
    }

    fn outputs(&self) -> Outputs {
        Outputs::new()
    }

    /// Whoever writes a value makes a new version.
    fn settings(&self) -> String {
        settings(&self.version.to_string())
    }

    async fn find(aws: &Caller<'_>, filters: Vec<Filter>) -> Result<Vec<Self>, BackendError> {
        let mut all: Vec<Self> = aws.all(filters).await?;
        for parameter in &mut all {
            parameter.tags = aws.tags_of_parameter(&parameter.name).await?.unwrap_or_default();
        }
        Ok(all)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws.remove(Write::DeleteParameter { name: self.name.clone() }).await
    }
}

fn settings(version: &str) -> String {
    format!("version {version}")
}

/// Writes a secret's value, whatever stands there of the deployment.
pub(super) async fn put(
    job: &Job<'_>,
    request: &PutParameter,
    context: &StepContext<'_>,
) -> Result<Outputs, BackendError> {
    let ParameterValue::Secret(secret) = &request.value else {
        return Err(BackendError::unreadable("a parameter's value is the name of a secret"));
    };
    let value = ParameterValue::encoded(&context.secret(secret).await?);
    let size = value.expose().map_or(0, str::len);
    if size > ParameterValue::AT_MOST {
        let message = format!(
            "the secret `{secret}` takes {size} bytes there, and a parameter holds {}: shorten it",
            ParameterValue::AT_MOST
        );
        return Err(BackendError::permanent(ErrorKind::Invalid, "PutParameter", message));
    }
    let mut new = PutParameter { value, ..request.clone() };
    Parameter::add_tags(&mut new, &job.own_tags());
    let mut wait = Waiting::new(&job.aws, VISIBLE, carried_out("PutParameter"));
    let version = loop {
        let mut put = new.clone();
        if let Some(tags) = whose(job, &request.name).await? {
            job.check("PutParameter", &request.name, &tags).map_err(BackendError::as_it_was)?;
            if !is_of(job, &tags) {
                let message = match tag(&tags, DEPLOYMENT) {
                    Some(deployment) => format!(
                        "the parameter {} is of the deployment `{deployment}`: remove it there",
                        request.name
                    ),
                    None => format!(
                        "Deployix did not make the parameter {}: remove it, and deploy again",
                        request.name
                    ),
                };
                return Err(BackendError::permanent(ErrorKind::Conflict, "PutParameter", message));
            }
            put.overwrite = true;
            put.tags.clear();
        }
        match job.aws.create(put.clone().into(), None).await? {
            Ok(version) => break version,
            Err(error)
                if error.code == "ParameterAlreadyExists" && wait.go_on(refused(&error)).await => {}
            Err(error) => return Err(Caller::refused(put.into(), error)),
        }
    };
    let made_as = Tag::new(MADE_AS, settings(&version));
    job.tag(Service::Ssm, &request.name, &[], new.tags.into_iter().chain([made_as])).await?;
    Ok(Outputs::new())
}

/// The tags of a parameter; nothing where there is none, or none that is known everywhere yet.
async fn whose(job: &Job<'_>, name: &str) -> Result<Option<Vec<Tag>>, BackendError> {
    let there: Vec<Parameter> = job.aws.all(vec![Filter::new("Name", [name])]).await?;
    match there.iter().find(|it| it.name == name) {
        Some(parameter) => job.aws.tags_of_parameter(&parameter.name).await,
        None => Ok(None),
    }
}

/// Whether tags are those of what was made as a resource.
fn is_of(job: &Job<'_>, tags: &[Tag]) -> bool {
    tag(tags, DEPLOYMENT) == Some(job.deployment().as_str())
        && tag(tags, RESOURCE) == Some(job.id.as_str())
}
