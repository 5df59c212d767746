//! Catalogs: what one repository exports.

use std::{num::NonZeroU32, sync::Arc};

use super::{
    decode::{Fields, Named, Reader, invalid},
    service::{self, member, service},
    tree::Node,
};
use crate::{
    diagnostic::{Cause, Code, Diagnostic},
    name::{Fqdn, Name},
    spec::{Bytes, Catalog, Functionality, FunctionalitySpec, Lowered, MachineWishes},
};

/// Reads the functionalities of a file.
pub(super) fn catalog(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Catalog {
    let node = fields.get("functionality");
    let named = match reader.kept() {
        Some(named) => named,
        None => node.map(|node| functionalities(reader, node)).unwrap_or_default(),
    };
    Catalog {
        functionalities: named.read.into_values().collect(),
        unreadable: named.unreadable,
        incomplete: named.nameless > 0,
        source: None,
    }
}

/// Reads functionalities by their names.
pub(super) fn functionalities(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
) -> Named<Arc<dyn Functionality>> {
    reader.named(node, &Cause::Catalogs, Cause::Functionality, functionality)
}

fn functionality(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    name: Name,
) -> Option<Arc<dyn Functionality>> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let fqdn = fields.get("fqdn").and_then(|node| reader.parse(node, |text| Fqdn::new(text)));
        let upstream_hosts = fields.get("upstream-hosts").map(|node| hosts(reader, node));
        let machine = fields.get("machine").and_then(|node| wishes(reader, node));
        let replicas = fields.get("replicas").and_then(|node| reader.count(node));
        let service = lowered(reader, fields);
        let extensions = reader.extensions(fields.get("extensions"));
        for key in service::KEYS {
            if let Some(entry) = fields.misplaced(key) {
                let message = format!("a functionality has no key `{key}`: its service has");
                let diagnostic = Diagnostic::error(Code::KeyUnknown, message);
                reader.fail(entry.key_at, diagnostic.remedy(format!("write `service.{key}`")));
            }
        }
        Some(FunctionalitySpec {
            name,
            fqdn,
            service: service?,
            upstream_hosts: upstream_hosts.unwrap_or_default(),
            machine: machine.unwrap_or_default(),
            replicas: replicas.unwrap_or(NonZeroU32::MIN),
            extensions,
        })
    };
    reader.table(node, "a functionality", read).flatten().map(FunctionalitySpec::shared)
}

/// Reads a list of host names.
pub(super) fn hosts(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Fqdn> {
    reader.distinct(node, |reader, node| reader.parse(node, |text| Fqdn::new(text)))
}

fn wishes(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<MachineWishes> {
    reader.table(node, "a machine", |reader, fields| MachineWishes {
        location: fields.get("location").and_then(|node| name(reader, node)),
        target: fields.get("target").and_then(|node| name(reader, node)),
        cpus: fields.get("cpus").and_then(|node| reader.cpus(node)),
        memory: fields.get("memory").and_then(|node| reader.parse(node, str::parse::<Bytes>)),
    })
}

/// Reads a name.
pub(super) fn name(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Name> {
    reader.parse(node, |text| Name::new(text))
}

fn lowered(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Option<Arc<Lowered>> {
    match (fields.entry("service"), fields.entry("group")) {
        (Some(one), None) => service(reader, &one.node).map(|one| Arc::new(one.into())),
        (None, Some(group)) => {
            let members = reader.map(
                &group.node,
                |key| Name::new(key),
                |reader, entry| member(reader, &entry.node),
            );
            if members.is_empty() {
                reader.fail(group.key_at, invalid("the group has no members"));
            }
            Some(Arc::new(Lowered::Group(members.into_iter().collect())))
        }
        (Some(_), Some(group)) => {
            let message = "a functionality has either a `service` or a `group`, and this has both";
            let diagnostic = Diagnostic::error(Code::ValuesConflict, message);
            reader.fail(group.key_at, diagnostic.remedy("make the service one of the group"));
            None
        }
        (None, None) => {
            let message = "a functionality needs the key `service` or the key `group`";
            reader.fail(fields.at(), Diagnostic::error(Code::KeyMissing, message));
            None
        }
    }
}
