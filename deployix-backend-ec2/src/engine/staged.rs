//! What machines fetch from S3 at their first boot.
//!
//! An object never changes under its key, which ends in the SHA-256 of its bytes. Those of one resource
//! have a folder of their own in it, and one below for each version of the contents, which the tag of a
//! launch template tells. So a step that is cut off leaves at most an object behind that the next one
//! finds by its folder, and what a launch template points to stays as long as the template.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::backend::{BackendError, Input, Inputs};
use sha2::{Digest, Sha256};

use super::{
    call::{Filter, Write},
    caller::Caller,
    job::{Job, Outputs},
    network::output,
    shape::{LaunchTemplate, Object},
};
use crate::{
    naming,
    request::{ObjectKey, StageUserData},
    user_data::{pack, text::Text},
};

/// Puts user data there; the key is the output.
pub(super) async fn put(job: &Job<'_>, request: &StageUserData) -> Result<Outputs, BackendError> {
    let text = Text::from(request.parts.clone())
        .render(&BTreeMap::new())
        .map_err(|error| BackendError::unreadable(&error.to_string()))?;
    let body = pack::gzip(text.as_bytes());
    let StageUserData { bucket, prefix, contents, .. } = request;
    let digest = Sha256::digest(&body);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("{prefix}{contents}/{digest}");
    let mut tagging = naming::tags(job.deployment(), job.id.as_str(), job.id);
    tagging.extend(job.own_tags());
    tagging.sort();
    check(job, &below(&job.aws, bucket, prefix).await?).await?;
    let write = Write::PutObject {
        bucket: bucket.clone(),
        key: key.clone(),
        body,
        server_side_encryption: "AES256".to_owned(),
        tagging,
    };
    job.aws.write(write).await?;
    Ok(Outputs::from([output(&ObjectKey(key))]))
}

/// Every object below a prefix.
pub(super) async fn below(
    aws: &Caller<'_>,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<Object>, BackendError> {
    aws.all(vec![Filter::new("bucket", [bucket]), Filter::new("prefix", [prefix])]).await
}

/// Refuses to touch what another history keeps. Objects of one resource are few.
async fn check(job: &Job<'_>, all: &[Object]) -> Result<(), BackendError> {
    for object in all {
        let Some(tags) = job.aws.object_tags(object).await? else { continue };
        job.check("PutObject", &object.key, &tags).map_err(BackendError::as_it_was)?;
    }
    Ok(())
}

async fn remove_all(job: &Job<'_>, all: Vec<Object>) -> Result<(), BackendError> {
    for Object { bucket, key } in all {
        job.aws.remove(Write::DeleteObject { bucket, key }).await?;
    }
    Ok(())
}

/// Removes a resource's objects, in whatever version, by its settings.
pub(super) async fn remove(job: &Job<'_>, inputs: &Inputs) -> Result<(), BackendError> {
    match (inputs.get("Bucket"), inputs.get("Prefix")) {
        (Some(Input::Text(bucket)), Some(Input::Text(prefix))) => {
            remove_below(job, bucket, prefix).await
        }
        _ => Err(BackendError::unreadable("it names no bucket and prefix")),
    }
}

/// Removes the objects of a resource of which nothing is known but its id.
pub(super) async fn remove_unknown(job: &Job<'_>) -> Result<(), BackendError> {
    let Some(staging) = &job.staging else { return Ok(()) };
    let prefix = staging.of_resource(job.deployment(), job.id.as_str());
    remove_below(job, staging.bucket(), &prefix).await
}

async fn remove_below(job: &Job<'_>, bucket: &str, prefix: &str) -> Result<(), BackendError> {
    let all = below(&job.aws, bucket, prefix).await?;
    check(job, &all).await?;
    remove_all(job, all).await
}

/// Removes the objects that machines were told to fetch before, wherever templates say that some are.
pub(super) async fn remove_old(
    job: &Job<'_>,
    all: &[LaunchTemplate],
    wanted: &LaunchTemplate,
) -> Result<(), BackendError> {
    let resource = job.sibling(naming::STAGED);
    let folder = |template: &LaunchTemplate| {
        let (contents, staging) = naming::staged_at(&template.tags)?;
        let folder = staging.of_resource(job.deployment(), &resource);
        Some((staging.bucket().to_owned(), format!("{folder}{contents}/"), folder))
    };
    let kept = folder(wanted);
    let places: BTreeSet<_> =
        all.iter().filter_map(folder).map(|(bucket, _, all)| (bucket, all)).collect();
    for (bucket, prefix) in places {
        let kept = kept.as_ref().filter(|(other, ..)| *other == bucket);
        let mut old = Vec::new();
        for object in below(&job.aws, &bucket, &prefix).await? {
            if kept.is_some_and(|(_, kept, _)| object.key.starts_with(kept)) {
                continue;
            }
            let tags = job.aws.object_tags(&object).await?;
            if tags.is_some_and(|tags| job.may_touch(&tags)) {
                old.push(object);
            }
        }
        remove_all(job, old).await?;
    }
    Ok(())
}
