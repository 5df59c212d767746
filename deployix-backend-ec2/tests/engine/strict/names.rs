//! Route 53: zones that are made by hand, and the records in them. It knows no regions.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use deployix_backend_ec2::{
    engine::call::{Answer, Call, Query, Read},
    request::{Change, ChangeAction, ChangeResourceRecordSets, Request, ResourceRecordSet},
};
use tokio::time::Instant;

use super::table::{Result, page, refuse};

/// So many calls a second are taken (Amazon Route 53 Developer Guide, "Quotas").
const CALLS: usize = 5;

/// How long a zone is busy with a change.
const BUSY: Duration = Duration::from_millis(100);

/// Records to a page: few, so that pages are seen.
const RECORDS: usize = 4;

/// How long it takes until all servers know of a change.
const IN_SYNC: Duration = Duration::from_secs(45);

#[derive(Debug, Default)]
pub(crate) struct Names {
    zones: BTreeMap<String, Zone>,
    changes: BTreeMap<String, Instant>,
    called: Vec<Instant>,
}

#[derive(Debug, Default)]
struct Zone {
    name: String,
    records: BTreeMap<Key, ResourceRecordSet>,
    changed: Option<Instant>,
}

/// Records are told in the order of their names from the last label to the first, then of types.
type Key = (Vec<String>, String, Option<String>);

fn labels(name: &str) -> Vec<String> {
    name.rsplit('.').map(str::to_owned).collect()
}

fn key(set: &ResourceRecordSet) -> Key {
    (labels(&set.name), set.kind.clone(), set.set_identifier.clone())
}

impl Names {
    pub(crate) fn add_zone(&mut self, id: &str, name: &str) {
        self.zones.insert(id.to_owned(), Zone { name: name.to_owned(), ..Zone::default() });
    }

    pub(crate) fn remove_zone(&mut self, id: &str) {
        self.zones.remove(id);
    }

    /// Puts records there by hand.
    pub(crate) fn put(&mut self, zone: &str, set: ResourceRecordSet) {
        self.zones.get_mut(zone).unwrap().records.insert(key(&set), set);
    }

    /// Removes those of a name and type by hand.
    pub(crate) fn take(&mut self, zone: &str, name: &str, kind: &str) {
        let zone = self.zones.get_mut(zone).unwrap();
        zone.records.retain(|_, it| it.name != name || it.kind != kind);
    }

    /// What the servers say to a name: its A record.
    pub(crate) fn answer(&self, zone: &str, name: &str) -> Option<ResourceRecordSet> {
        let mut all = self.zones.get(zone)?.records.values();
        all.find(|it| it.name == name && it.kind == "A").cloned()
    }

    pub(super) fn call(&mut self, call: &Call) -> Result<Answer> {
        let now = Instant::now();
        self.called.retain(|at| *at + Duration::from_secs(1) > now);
        if self.called.len() >= CALLS {
            return refuse("Throttling", "Rate exceeded");
        }
        self.called.push(now);
        match call {
            Call::Create { request, .. } => match &**request {
                Request::ChangeResourceRecordSets(it) => self.change(it, now).map(Answer::Made),
                other => refuse("InvalidAction", other.operation()),
            },
            Call::Read(Read::ListResourceRecordSets(query)) => self.list(query),
            Call::Read(Read::GetChange { id }) => match self.changes.get(id) {
                Some(at) if *at <= now => Ok(Answer::State(Some("INSYNC".to_owned()))),
                Some(_) => Ok(Answer::State(Some("PENDING".to_owned()))),
                None => refuse("NoSuchChange", id),
            },
            other => refuse("InvalidAction", other.operation()),
        }
    }

    fn list(&self, query: &Query) -> Result<Answer> {
        let value = |name: &str| {
            let filter = query.filters.iter().find(|filter| filter.name == name);
            filter.and_then(|filter| filter.values.first())
        };
        let Some(zone) = value("hosted-zone-id").and_then(|id| self.zones.get(id)) else {
            return refuse("NoSuchHostedZone", format!("{query:?}"));
        };
        let from = value("start-record-name").map(|name| labels(name)).unwrap_or_default();
        let all = zone.records.iter().filter(|((name, ..), _)| *name >= from);
        let all = all.map(|(_, set)| set.clone()).collect();
        Ok(Answer::ResourceRecordSet(page(all, query, RECORDS)?))
    }

    /// All of the changes, or none of them.
    fn change(&mut self, it: &ChangeResourceRecordSets, now: Instant) -> Result<String> {
        let id = format!("C{}", self.changes.len());
        let Some(zone) = self.zones.get_mut(it.hosted_zone_id.as_str()) else {
            return refuse("NoSuchHostedZone", &it.hosted_zone_id);
        };
        if zone.changed.is_some_and(|at| at + BUSY > now) {
            return refuse("PriorRequestNotComplete", "The request was rejected");
        }
        let mut records = zone.records.clone();
        for change in &it.change_batch.changes {
            apply(&mut records, &zone.name, change)?;
        }
        zone.records = records;
        zone.changed = Some(now);
        self.changes.insert(id.clone(), now + IN_SYNC);
        Ok(id)
    }

    /// Each record as it is.
    pub(super) fn raw(&self) -> Vec<String> {
        let zones = self.zones.values().flat_map(|zone| zone.records.values());
        zones.map(|set| format!("{set:?}")).collect()
    }

    pub(super) fn inventory(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (id, zone) in &self.zones {
            for set in zone.records.values() {
                all.push(match set.as_note() {
                    Some((name, tags)) => {
                        let value = |key: &str| {
                            let tag = tags.iter().find(|it| it.key == key);
                            tag.map(|it| it.value.clone()).unwrap_or_default()
                        };
                        let (resource, digest) =
                            (value("deployix:resource"), value("deployix:digest"));
                        format!("{id} note of {name} {resource} {digest}")
                    }
                    None => {
                        let count = set.resource_records.len();
                        format!("{id} record {} {} {count}", set.name, set.kind)
                    }
                });
            }
        }
        all
    }
}

fn apply(
    records: &mut BTreeMap<Key, ResourceRecordSet>,
    zone: &str,
    change: &Change,
) -> Result<()> {
    let set = &change.resource_record_set;
    let wrong =
        |why: &str| refuse("InvalidChangeBatch", format!("{} {}: {why}", set.name, set.kind));
    match change.action {
        ChangeAction::Delete => match records.remove(&key(set)) {
            Some(there) if there == *set => Ok(()),
            Some(_) => wrong("the values provided do not match the current values"),
            None => wrong("it was not found"),
        },
        ChangeAction::Create => {
            let inside = set.name == zone || set.name.ends_with(&format!(".{zone}"));
            if !inside || set.name.len() > 253 {
                return wrong("it is not permitted in the zone");
            }
            if set.alias_target.is_some() == (set.ttl.is_some() && !set.resource_records.is_empty())
            {
                return wrong("an alias, or a TTL and records");
            }
            let is_right = |value: &str| match set.kind.as_str() {
                "A" => value.parse::<Ipv4Addr>().is_ok(),
                "TXT" => value.starts_with('"') && value.ends_with('"') && value.len() <= 4000,
                _ => true,
            };
            let mut values = set.resource_records.iter().map(|it| it.value.known().unwrap());
            if !values.all(|value| is_right(value)) {
                return wrong("the value is not valid");
            }
            let here = records.values().filter(|it| it.name == set.name);
            for there in here {
                let cname = there.kind == "CNAME" || set.kind == "CNAME";
                if cname || there.kind == set.kind {
                    return wrong("it already exists");
                }
            }
            records.insert(key(set), set.clone());
            Ok(())
        }
    }
}
