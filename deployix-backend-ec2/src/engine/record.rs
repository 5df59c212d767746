//! Records of a Route 53 zone.
//!
//! Records have no tags, so one beside each, its note, says what tags say elsewhere. Both are changed
//! together or not at all, and only from exactly what was looked at before: what somebody else made,
//! even meanwhile, is never overwritten. Within its deployment a record may pass from one to another,
//! such as to the load balancer that its functionality is put behind.
//!
//! | after this call | the same step, done again, finds |
//! |---|---|
//! | changed | what is wanted, though maybe not all servers know of it yet |

use std::{collections::BTreeMap, time::Duration};

use deployix_core::{
    Digest, Name, ResourceId,
    backend::{BackendError, ErrorKind, Observed},
};

use super::{
    call::Filter,
    caller::{Caller, refused},
    job::{DIGEST, Job, MADE_AS, OWNER, Outputs, history, known, owner, tag},
    kind::value,
    observe::Seen,
    wait::Waiting,
};
use crate::{
    extension::HostedZone,
    naming::{DEPLOYMENT, RESOURCE, zone_and_name},
    request::{
        Change, ChangeAction, ChangeBatch, ChangeResourceRecordSets, HostedZoneId,
        ResourceRecordSet, Tag,
    },
};

/// How long Route 53 may take to tell all of its servers: usually a minute (Amazon Route 53
/// Developer Guide, "Checking the status of your changes").
const IN_SYNC: Duration = Duration::from_secs(600);

/// The change that Route 53 refuses as a whole: something is there, or is not as it was.
const REFUSED: &str = "InvalidChangeBatch";

/// The records of one name that matter here.
#[derive(Debug, Default)]
struct Found {
    /// Where the name leads.
    records: Vec<ResourceRecordSet>,
    note: Option<ResourceRecordSet>,
}

impl Found {
    async fn at(aws: &Caller<'_>, zone: &HostedZoneId, name: &str) -> Result<Self, BackendError> {
        let mut all = named(aws, zone, name).await?;
        all.retain(|it| matches!(it.kind.as_str(), "A" | "CNAME"));
        let notes = named(aws, zone, &ResourceRecordSet::note(name, &[]).name).await?;
        Ok(Self { records: all, note: notes.into_iter().find(|it| it.as_note().is_some()) })
    }

    fn tags(&self) -> Option<Vec<Tag>> {
        Some(self.note.as_ref()?.as_note()?.1)
    }

    /// Whether it was made as a resource.
    fn is_of(&self, job: &Job<'_>) -> bool {
        self.tags().is_some_and(|tags| {
            tag(&tags, DEPLOYMENT) == Some(job.deployment().as_str())
                && tag(&tags, RESOURCE) == Some(job.id.as_str())
        })
    }

    /// Refuses to touch what another history keeps.
    fn check_keeper(&self, job: &Job<'_>, name: &str) -> Result<(), BackendError> {
        let tags = self.tags().unwrap_or_default();
        job.check("ChangeResourceRecordSets", name, &tags).map_err(BackendError::as_it_was)
    }

    /// Refuses to touch what somebody else made.
    fn check(&self, job: &Job<'_>, zone: &HostedZoneId, name: &str) -> Result<(), BackendError> {
        self.check_keeper(job, name)?;
        let tags = self.tags().unwrap_or_default();
        let whose = tag(&tags, DEPLOYMENT);
        let message =
            match (whose, self.records.iter().find(|it| is_foreign(it)).or(self.records.first())) {
                (Some(whose), _) if whose != job.deployment().as_str() => {
                    let resource = tag(&tags, RESOURCE).unwrap_or_default();
                    format!(
                        "{name} in zone {zone} is of the deployment `{whose}` ({resource}): choose \
                     another fqdn here, or remove it there"
                    )
                }
                (Some(_), Some(record)) if is_foreign(record) => by_somebody(record, name, zone),
                (None, Some(record)) => by_somebody(record, name, zone),
                _ => return Ok(()),
            };
        Err(BackendError::permanent(ErrorKind::Conflict, "ChangeResourceRecordSets", message))
    }

    /// The changes by which just what is wanted is left of it; what is so already stays untouched.
    fn into_wanted(self, wanted: &[ResourceRecordSet]) -> Vec<Change> {
        let has = self.records.into_iter().filter(|it| !is_foreign(it)).chain(self.note);
        let (kept, other): (Vec<_>, Vec<_>) = has.partition(|it| wanted.contains(it));
        let change = |action, resource_record_set| Change { action, resource_record_set };
        let removed = other.into_iter().map(|it| change(ChangeAction::Delete, it));
        let missing = wanted.iter().filter(|it| !kept.contains(it));
        removed.chain(missing.map(|it| change(ChangeAction::Create, it.clone()))).collect()
    }
}

/// Whether it is none that the engine makes, whatever a note says: an alias of another kind, or one
/// of several that are answered in turn.
fn is_foreign(record: &ResourceRecordSet) -> bool {
    record.kind != "A" || record.set_identifier.is_some()
}

fn by_somebody(record: &ResourceRecordSet, name: &str, zone: &HostedZoneId) -> String {
    format!(
        "zone {zone} has a record of {name} that Deployix did not make ({}): remove it, or choose \
         another fqdn",
        record.says()
    )
}

/// The records of a name. Route 53 tells them in the order of names, from one on.
async fn named(
    aws: &Caller<'_>,
    zone: &HostedZoneId,
    name: &str,
) -> Result<Vec<ResourceRecordSet>, BackendError> {
    let filters = vec![in_zone(zone), Filter::new("start-record-name", [name])];
    aws.all_while(filters, &|it: &ResourceRecordSet| it.name == name).await
}

fn in_zone(zone: &HostedZoneId) -> Filter {
    Filter::new("hosted-zone-id", [zone.as_str()])
}

/// Makes a name lead where it should.
pub(super) async fn put(
    job: &Job<'_>,
    request: &ChangeResourceRecordSets,
) -> Result<Outputs, BackendError> {
    let zone = &request.hosted_zone_id;
    let sets = request.change_batch.changes.iter().map(|change| &change.resource_record_set);
    let (notes, records): (Vec<_>, Vec<_>) = sets.partition(|it| it.as_note().is_some());
    let (Some(record), Some((name, tags))) =
        (records.first(), notes.first().and_then(|note| note.as_note()))
    else {
        return Err(BackendError::unreadable("it has no record with a note beside it"));
    };
    for one in &record.resource_records {
        known(&one.value)?;
    }
    if let Some(alias) = &record.alias_target {
        known(&alias.hosted_zone_id)?;
        known(&alias.dns_name)?;
    }
    let made_as = Tag::new(MADE_AS, short(&record.says()));
    let tags: Vec<_> = tags.into_iter().chain(job.own_tags()).chain([made_as]).collect();
    let wanted = [ResourceRecordSet::clone(record), ResourceRecordSet::note(name, &tags)];
    let changes = |found: Found| {
        found.check(job, zone, name)?;
        Ok(found.into_wanted(&wanted))
    };
    change(job, zone, name, changes).await?;
    Ok(Outputs::new())
}

/// Removes a record and its note, as far as they stand and are the resource's.
pub(super) async fn remove(job: &Job<'_>) -> Result<(), BackendError> {
    let Some((zone, name)) = zone_and_name(job.id) else {
        return Err(BackendError::unreadable("its id names no record"));
    };
    let changes = |found: Found| {
        if !found.is_of(job) {
            return Ok(Vec::new());
        }
        found.check_keeper(job, name)?;
        Ok(found.into_wanted(&[]))
    };
    change(job, &zone, name, changes).await
}

/// Changes what is there, until it was just what was looked at; then waits until all know of it.
async fn change(
    job: &Job<'_>,
    zone: &HostedZoneId,
    name: &str,
    changes: impl Fn(Found) -> Result<Vec<Change>, BackendError> + Send + Sync,
) -> Result<(), BackendError> {
    let what = format!("the records of {name} in zone {zone} to stay as they are for a moment");
    let mut wait = Waiting::new(&job.aws, Duration::from_secs(60), what);
    loop {
        let changes = changes(Found::at(&job.aws, zone, name).await?)?;
        if changes.is_empty() {
            return Ok(());
        }
        let change_batch = ChangeBatch { changes };
        let request = ChangeResourceRecordSets { hosted_zone_id: zone.clone(), change_batch };
        match job.aws.create(request.clone().into(), None).await? {
            Ok(id) => return in_sync(job, &id).await,
            Err(error) if error.code == REFUSED && wait.go_on(refused(&error)).await => {}
            Err(error) => return Err(Caller::refused(request.into(), error)),
        }
    }
}

async fn in_sync(job: &Job<'_>, change: &str) -> Result<(), BackendError> {
    let what = format!("Route 53 to tell all of its servers of the change {change}");
    let mut wait = Waiting::new(&job.aws, IN_SYNC, what);
    loop {
        let state = job.aws.change(change.to_owned()).await?;
        if state.as_deref() == Some("INSYNC") {
            return Ok(());
        }
        let state = state.as_deref().unwrap_or("not known yet");
        if !wait.go_on(format!("it is {state}")).await {
            let to_do = format!("look at it (`aws route53 get-change --id {change}`)");
            return Err(wait.over("GetChange", &to_do));
        }
    }
}

/// A text that fits into a note's character string.
fn short(says: &str) -> String {
    let text = value(says);
    if text.len() <= 200 { text } else { format!("digest {}", Digest::of_bytes(text.as_bytes())) }
}

/// Tells what stands of a deployment in a zone.
pub(super) async fn observe(
    aws: &Caller<'_>,
    deployment: &Name,
    zone: &HostedZone,
    seen: &mut Seen,
) -> Result<(), BackendError> {
    let all: Vec<ResourceRecordSet> = aws.all(vec![in_zone(&zone.id)]).await?;
    let records = all.iter().filter(|it| it.kind == "A").map(|it| (it.name.as_str(), it));
    let records: BTreeMap<_, _> = records.collect();
    for (name, tags) in all.iter().filter_map(ResourceRecordSet::as_note) {
        if tag(&tags, DEPLOYMENT) != Some(deployment.as_str()) {
            continue;
        }
        let Some(id) = tag(&tags, RESOURCE).and_then(|id| ResourceId::new(id).ok()) else {
            continue;
        };
        // One that somebody copied to another name is no note.
        if zone_and_name(&id) != Some((zone.id.clone(), name)) {
            continue;
        }
        let digest = tag(&tags, DIGEST).and_then(|digest| digest.parse().ok());
        let mut observed = Observed::new(id, digest);
        observed.owner = tag(&tags, OWNER).and_then(owner);
        observed.kept_by = history(&tags);
        match records.get(name) {
            None => observed.drift.push("its record is gone".to_owned()),
            Some(record) => {
                let (now, made) = (short(&record.says()), tag(&tags, MADE_AS).unwrap_or_default());
                if now != made {
                    observed.drift.push(format!("it was `{made}` and is `{now}`"));
                }
            }
        }
        seen.put(observed);
    }
    Ok(())
}
