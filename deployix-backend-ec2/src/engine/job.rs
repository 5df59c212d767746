//! [`Job`]: one step, and the tags by which what it makes is found again.

use std::collections::BTreeMap;

use deployix_core::{
    Digest, HistoryId, Name, ResourceId,
    backend::{Action, BackendError, Keeper, Owner, Resource, Step},
};

use super::caller::Caller;
use crate::{
    naming::{self, DEPLOYMENT, RESOURCE},
    request::{Request, Service, Tag, Value},
    staging::Staging,
};

/// The digest of the settings that something was made from.
pub(super) const DIGEST: &str = "deployix:digest";
/// On whose account it stands.
pub(super) const OWNER: &str = "deployix:owner";
/// The history that keeps it.
pub(super) const HISTORY: &str = "deployix:history";
/// What its settings were when it was made, as AWS told them: what is other since is drift.
pub(super) const MADE_AS: &str = "deployix:made-as";

/// Written on a machine before it leaves its places to another, and on that one until it has them and all
/// of the one before is gone: who finds it finds a step that did not end.
pub(super) const UNDER_WAY: &str = "deployix:under-way";

/// What a step gives to others.
pub(super) type Outputs = BTreeMap<String, String>;

/// One step.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) aws: Caller<'a>,
    deployment: &'a Name,
    pub(super) id: &'a ResourceId,
    pub(super) digest: String,
    owner: String,
    /// The history on whose account it is done.
    keeper: Option<&'a Keeper>,
    /// Where the target's machines fetch what does not fit into their user data.
    pub(super) staging: Option<Staging>,
    /// Since when this is tried, which another wish for the same thing is not.
    tried: u64,
    /// The digest of what is changed in place.
    before: Option<String>,
    /// What is made anew, as it was.
    pub(super) replaced: Option<&'a Resource>,
}

impl<'a> Job<'a> {
    pub(super) fn new(aws: Caller<'a>, step: &Step<'a>, keeper: Option<&'a Keeper>) -> Self {
        let before = match step.action {
            Action::Update { from } => Some(from.digest().to_string()),
            Action::Create | Action::Replace { .. } | Action::Remove => None,
        };
        let replaced = match step.action {
            Action::Replace { from } => Some(from),
            Action::Create | Action::Update { .. } | Action::Remove => None,
        };
        Self {
            aws,
            deployment: step.deployment,
            id: step.resource.id(),
            digest: step.resource.digest().to_string(),
            owner: owner_text(step.resource.owner()),
            keeper,
            staging: super::location(&step.site).and_then(|location| location.staging),
            tried: step.tried,
            before,
            replaced,
        }
    }

    /// The step that made what this one makes anew, to be done again.
    pub(super) fn back_to(&self, replaced: &Resource) -> Self {
        let digest = replaced.digest().to_string();
        Self { digest, before: None, replaced: None, ..self.clone() }
    }

    /// Whether something stood before.
    pub(super) fn is_change(&self) -> bool {
        self.before.is_some() || self.replaced.is_some()
    }

    pub(super) fn deployment(&self) -> &'a Name {
        self.deployment
    }

    /// Whether what was made from a digest is kept: it is as wanted, or changed in place.
    pub(super) fn keeps(&self, digest: Option<&str>) -> bool {
        digest.is_some_and(|it| it == self.digest || self.before.as_deref() == Some(it))
    }

    /// Whether what stands is changed in place, or made what it should be since it is in doubt.
    pub(super) fn mends(&self) -> bool {
        self.before.is_some()
    }

    /// The tags that AWS shows beside those that were compiled.
    pub(super) fn own_tags(&self) -> Vec<Tag> {
        let history = self.keeper.map(|keeper| Tag::new(HISTORY, keeper.history().as_str()));
        let own = [Tag::new(DIGEST, &self.digest), Tag::new(OWNER, &self.owner)];
        own.into_iter().chain(history).collect()
    }

    /// Whether tags are not those of what another history keeps of the deployment. What another
    /// deployment made is none of this one's either way, and may be named by people.
    pub(super) fn may_touch(&self, tags: &[Tag]) -> bool {
        self.other_keeper(tags).is_none()
    }

    /// Refuses to touch what another history keeps of the deployment.
    pub(super) fn check(
        &self,
        operation: &'static str,
        id: &str,
        tags: &[Tag],
    ) -> Result<(), BackendError> {
        let Some(by) = self.other_keeper(tags) else { return Ok(()) };
        let what = match tag(tags, RESOURCE) {
            Some(resource) if resource != id => format!("{id} ({resource})"),
            _ => id.to_owned(),
        };
        Err(BackendError::kept_by_another(operation, self.deployment, &what, &by))
    }

    fn other_keeper(&self, tags: &[Tag]) -> Option<HistoryId> {
        let by = history(tags).filter(|by| !self.keeper.is_none_or(|it| it.keeps(Some(by))))?;
        (tag(tags, DEPLOYMENT) == Some(self.deployment.as_str())).then_some(by)
    }

    /// A token that is the same for the same wish: of the deployment, the resource, the request
    /// with all outputs in it, since when it is tried, and how many before it were used up. At most
    /// 64 characters (`RunInstances`, `ClientToken`). AWS keeps a token for a day and more after what
    /// was made with it is gone (Amazon EC2 Developer Guide, "Ensuring idempotency"), so what is made
    /// again later is another wish.
    pub(super) fn token(&self, request: &Request, used_up: usize) -> Result<String, BackendError> {
        let json =
            request.parameters().map_err(|error| BackendError::unreadable(&error.to_string()))?;
        let wish = (self.deployment.as_str(), self.id.as_str(), json, self.tried, used_up);
        let digest =
            Digest::of(&wish).map_err(|error| BackendError::unreadable(&error.to_string()))?;
        Ok(digest.to_string().chars().take(64).collect())
    }

    /// The id of another resource that belongs to the same thing.
    pub(super) fn sibling(&self, what: &str) -> String {
        naming::sibling(self.id, what)
    }

    /// Puts tags on something, as far as it has not got them.
    pub(super) async fn tag(
        &self,
        service: Service,
        id: &str,
        has: &[Tag],
        wanted: impl IntoIterator<Item = Tag>,
    ) -> Result<(), BackendError> {
        use super::call::Write;
        let tags: Vec<Tag> = wanted.into_iter().filter(|tag| !has.contains(tag)).collect();
        if tags.is_empty() {
            return Ok(());
        }
        let ids = vec![id.to_owned()];
        let write = match service {
            Service::ElasticLoadBalancing => Write::AddTags { resource_arns: ids, tags },
            Service::AutoScaling => Write::CreateOrUpdateTags {
                auto_scaling_group_name: id.to_owned(),
                tags: tags.into_iter().map(super::scaling::own_tag).collect(),
            },
            Service::Ssm => Write::AddTagsToResource { resource_id: id.to_owned(), tags },
            Service::Ec2 | Service::Route53 | Service::S3 | Service::Local => {
                Write::CreateTags { resources: ids, tags }
            }
        };
        self.aws.write(write).await
    }
}

/// The value of a tag.
pub(super) fn tag<'t>(tags: &'t [Tag], key: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
}

/// The history that keeps what has these tags, where they say.
pub(super) fn history(tags: &[Tag]) -> Option<HistoryId> {
    tag(tags, HISTORY)?.parse().ok()
}

/// The resource that something was made as, by the engine itself.
pub(super) fn resource_of(tags: &[Tag]) -> Option<(ResourceId, Option<Digest>)> {
    // Root disks have the other tags of what they were started from, and are no resources.
    let digest = tag(tags, DIGEST)?;
    Some((ResourceId::new(tag(tags, RESOURCE)?).ok()?, digest.parse().ok()))
}

/// Whether the engine made something for a deployment. A tag alone, which somebody put there, does not
/// say so.
pub(super) fn is_made_for(deployment: &Name, tags: &[Tag]) -> bool {
    tag(tags, DEPLOYMENT) == Some(deployment.as_str()) && resource_of(tags).is_some()
}

/// Filters for what was made as a resource of a deployment.
pub(super) fn by_tags(deployment: &str, resource: Option<&str>) -> Vec<super::call::Filter> {
    use super::call::Filter;
    let mut filters = vec![Filter::new(format!("tag:{DEPLOYMENT}"), [deployment])];
    filters.extend(resource.map(|id| Filter::new(format!("tag:{RESOURCE}"), [id])));
    filters
}

/// An owner as it stands in a tag.
fn owner_text(owner: &Owner) -> String {
    match owner {
        Owner::Functionality(name) => format!("functionality {name}"),
        Owner::Edge { consumer, provider } => format!("edge {consumer} {provider}"),
        Owner::Target(name) => format!("target {name}"),
        Owner::Network(name) => format!("network {name}"),
        _ => String::new(),
    }
}

/// An owner as it was written into a tag.
pub(super) fn owner(text: &str) -> Option<Owner> {
    let mut words = text.split(' ');
    let kind = words.next()?;
    let mut name = || Name::new(words.next()?).ok();
    Some(match kind {
        "functionality" => Owner::Functionality(name()?),
        "edge" => Owner::Edge { consumer: name()?, provider: name()? },
        "target" => Owner::Target(name()?),
        "network" => Owner::Network(name()?),
        _ => return None,
    })
}

/// A value of a request that was filled in.
pub(super) fn known<T>(value: &Value<T>) -> Result<&T, BackendError> {
    match value {
        Value::Known(value) => Ok(value),
        Value::Output(output) => {
            let missing = format!("output {} of {} is missing", output.output, output.resource);
            Err(BackendError::unreadable(&missing))
        }
    }
}

/// Values of a request that were filled in.
pub(super) fn all_known<T: Clone>(values: &[Value<T>]) -> Result<Vec<T>, BackendError> {
    values.iter().map(|value| known(value).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_back_from_its_tag() {
        let name = |text: &str| Name::new(text).unwrap();
        for it in [
            Owner::Functionality(name("web")),
            Owner::Edge { consumer: name("web"), provider: name("db") },
            Owner::Target(name("box")),
            Owner::Network(name("sg")),
        ] {
            assert_eq!(owner(&owner_text(&it)), Some(it));
        }
        for bad in ["", "edge web", "robot web", "target Web!"] {
            assert_eq!(owner(bad), None, "{bad}");
        }
    }
}
