//! Fqdns as records of a Route 53 zone, where a location has one.
//!
//! A record leads to where its functionality is reached privately: to its machines, or to its load
//! balancer. Machines of other networks, which talk to it over IPsec, keep entries in their files of
//! hosts, as all do for load balancers: a balancer that is open to the internet has public addresses
//! by its name, and rules between security groups let nothing through to those.

use deployix_core::{
    Fqdn, ResourceId,
    backend::{CompileError, Owner, Peer, Remark, Resource, Site, Subject, Unit, Via},
};

use super::peer;
use crate::{
    extension::{HostedZone, LocationSettings},
    naming,
    network::{self, Net},
    request::{
        AliasTarget, Change, ChangeAction, ChangeBatch, ChangeResourceRecordSets, ResourceRecord,
        ResourceRecordSet, Value,
    },
    resource::resource,
    settings,
};

/// A character string in a record has so many bytes at most (RFC 1035, section 3.3).
const STRING: usize = 255;

/// A name has so many characters at most (RFC 1123, section 2.1).
const NAME: usize = 253;

/// The zone that an fqdn is in, where its location has such a one.
fn zone(site: &Site<'_>, fqdn: &Fqdn) -> Result<Option<HostedZone>, CompileError> {
    let Some((_, location)) = site.location else { return Ok(None) };
    let own: LocationSettings = settings(&location.extensions)?;
    Ok(own.hosted_zone.filter(|zone| zone.holds(fqdn)))
}

/// The record by which a consumer finds an upstream.
pub(crate) fn found_by(
    unit: &Unit<'_>,
    upstream: &Peer<'_>,
) -> Result<Option<ResourceId>, CompileError> {
    let led_to = peer::via(unit, upstream) == Via::Private
        && peer::is_ec2(&upstream.site)
        && !peer::is_load_balancer(upstream)
        && !peer::is_autoscaling(&upstream.site);
    let zone = if led_to { zone(&upstream.site, upstream.fqdn)? } else { None };
    zone.map(|zone| naming::record(upstream.name, &zone.id, upstream.fqdn)).transpose()
}

/// The record of a functionality or load balancer.
pub(super) fn compile(
    unit: &Unit<'_>,
    net: &Net<'_>,
    remarks: &mut Vec<Remark>,
) -> Result<Option<Resource>, CompileError> {
    let Some(fqdn) = unit.fqdn else { return Ok(None) };
    // Behind a load balancer it goes by another name, and the fqdn is the balancer's.
    let balanced = unit.consumers.iter().any(|consumer| consumer.fqdn != fqdn);
    if balanced && unit.balancer.is_none() {
        return Ok(None);
    }
    let Some(zone) = zone(&unit.site, fqdn)? else { return Ok(None) };
    if peer::is_autoscaling(&unit.site) && unit.balancer.is_none() {
        let message = format!(
            "{fqdn} gets no record in zone {}: the machines of an autoscaling group have no fixed \
             addresses",
            zone.name
        );
        let remedy = format!("put a load balancer before it: [load-balancer.{}]", unit.name);
        remarks.push(Remark::new(["fqdn"], message).remedy(remedy));
        return Ok(None);
    }
    let id = naming::record(unit.name, &zone.id, fqdn)?;
    let ttl = zone.seconds().map_err(|message| {
        let keys = ["extensions", crate::ID, "hosted-zone", "ttl"];
        let remark = Remark::new(keys, message).remedy("write a length of time such as \"60s\"");
        match unit.site.location {
            Some((name, _)) => remark.about(Subject::Location(name.clone())),
            None => remark,
        }
    })?;
    let mut record = ResourceRecordSet {
        name: fqdn.to_string(),
        kind: "A".to_owned(),
        set_identifier: None,
        ttl: None,
        resource_records: Vec::new(),
        alias_target: None,
    };
    if unit.balancer.is_some() {
        let balancer = network::balancer(unit.deployment, &unit.site, unit.name)?;
        record.alias_target = Some(AliasTarget {
            hosted_zone_id: Value::output_of(&balancer),
            dns_name: Value::output_of(&balancer),
            evaluate_target_health: false,
        });
    } else {
        record.ttl = Some(ttl);
        for &machine in unit.machines {
            let value = peer::private_address(unit.deployment, &unit.site, machine)?;
            record.resource_records.push(ResourceRecord { value });
        }
    }
    let tags = naming::tags_of_record(unit.deployment, &id);
    let note = ResourceRecordSet::note(fqdn.as_str(), &tags);
    let too_long = tags.iter().any(|tag| tag.key.len() + tag.value.len() >= STRING);
    if too_long || note.name.len() > NAME {
        let message = format!(
            "{fqdn} is too long for a record in zone {}: one beside it says whose it is",
            zone.name
        );
        return Err(Remark::new(["fqdn"], message)
            .remedy("choose a shorter fqdn, or one outside of the zone")
            .into());
    }
    let create = |resource_record_set| Change { action: ChangeAction::Create, resource_record_set };
    let request = ChangeResourceRecordSets {
        hosted_zone_id: zone.id,
        change_batch: ChangeBatch { changes: vec![create(record), create(note)] },
    };
    let owner = Owner::Functionality(unit.name.clone());
    // Nobody is led to a load balancer that leads nowhere yet.
    let after = match unit.balancer {
        Some(balancer) => super::balancer::listeners(unit, balancer, net)?,
        None => Vec::new(),
    };
    resource(id, owner, net.region.as_deref(), request, after).map(Some)
}
