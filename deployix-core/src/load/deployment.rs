//! Deployment files: what ties catalogs and infrastructure together.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    catalog::{catalog, hosts, name},
    decode::{Fields, Reader, invalid},
    file,
    infrastructure::{backend, infrastructure},
    tree::{At, Node, Value},
};
use crate::{
    diagnostic::{Code, Diagnostic, Severity},
    name::Name,
    spec::{Catalog, CertificateAuthority, DefaultBackend, Deployment, Infrastructure},
};

/// What a deployment file says.
pub(super) struct Central {
    /// `None` where it has no name.
    pub(super) deployment: Option<Deployment>,
    pub(super) catalogs: Vec<Reference>,
    pub(super) infrastructures: Vec<Reference>,
    /// The functionalities in the file itself.
    pub(super) catalog: Catalog,
    /// The infrastructure in the file itself.
    pub(super) infrastructure: Infrastructure,
}

/// Another spec file, and where it is named.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) path: String,
    pub(super) at: At,
}

/// Reads a deployment file.
pub(super) fn central(reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>) -> Central {
    let own_name = reader.required(fields, "name").and_then(|node| name(reader, node));
    let mut deployment = own_name.map(|name| Deployment::new(name, Vec::new()));
    let catalogs = references(reader, fields.get("catalogs"));
    let infrastructures = references(reader, fields.get("infrastructure"));
    let ca = fields.get("ca").and_then(|node| authority(reader, node));
    let external_hosts = fields.get("external-hosts").map(|node| hosts(reader, node));
    let secrets = fields.get("secrets").and_then(|node| path(reader, node));
    let history = fields.get("history").and_then(|node| history(reader, node));
    let place = fields.get("place").map(|node| {
        reader.map(
            node,
            |key| Name::new(key),
            |reader, entry| match &entry.node.value {
                Value::Map(_) => {
                    let message =
                        "the members of a group share one host: they cannot be placed apart";
                    let remedy = format!("place the group: {} = \"TARGET\"", entry.key);
                    let diagnostic = Diagnostic::error(Code::GroupSplit, message);
                    reader.fail(entry.key_at, diagnostic.remedy(remedy));
                    None
                }
                _ => name(reader, &entry.node),
            },
        )
    });
    let default_backend =
        fields.get("default-backend").and_then(|node| default_backend(reader, node));
    let atomic = fields.get("atomic").map(|node| {
        reader.list(node, |reader, node| {
            Some(reader.distinct(node, name).into_iter().collect::<BTreeSet<Name>>())
        })
    });
    if let Some(deployment) = &mut deployment {
        deployment.certificate_authority = ca;
        deployment.external_hosts.extend(external_hosts.into_iter().flatten());
        deployment.secrets = secrets;
        deployment.history = history;
        deployment.place = place.into_iter().flatten().collect();
        deployment.default_backend = default_backend;
        deployment.atomic = atomic.unwrap_or_default();
    }
    Central {
        deployment,
        catalogs,
        infrastructures,
        catalog: catalog(reader, fields),
        infrastructure: infrastructure(reader, fields),
    }
}

fn references(reader: &mut Reader<'_>, node: Option<&Node<'_>>) -> Vec<Reference> {
    let Some(node) = node else { return Vec::new() };
    // One that is named twice is found when the files are opened, by whatever path.
    let references = reader.list(node, |reader, node| {
        let path = reader.line(node)?;
        Some(Reference { path, at: node.at })
    });
    if let (Some(first), None) = (references.first(), reader.folder) {
        let message = "this text is in no folder, so it cannot name other files";
        reader.fail(first.at, Diagnostic::error(Code::FileUnreadable, message));
    }
    references
}

/// Reads a path, which is relative to the file's own folder.
fn path(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<PathBuf> {
    let path = reader.line(node)?;
    Some(reader.folder.map_or_else(|| PathBuf::from(&path), |folder| folder.join(&path)))
}

fn authority(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<CertificateAuthority> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let certificate = reader.required(fields, "certificate");
        let key = reader.required(fields, "key").and_then(|node| path(reader, node));
        let certificate_file = certificate.and_then(|node| path(reader, node));
        let certificate = match file::text(&certificate_file?) {
            Ok(text) => Some(text),
            Err(mut diagnostic) => {
                // Only what runs over IPsec needs it.
                diagnostic.severity = Severity::Warning;
                let remedy = "make one, unless everything runs in one private network";
                reader.tell(certificate?.at, diagnostic.remedy(remedy));
                None
            }
        };
        Some(CertificateAuthority { certificate, key: key? })
    };
    reader.table(node, "a certificate authority", read).flatten()
}

fn history(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<String> {
    let text = reader.line(node)?;
    if let Some(folder) = text.strip_prefix("file:") {
        let folder = reader.folder.map_or_else(|| folder.into(), |own| own.join(folder));
        return Some(format!("file:{}", folder.display()));
    }
    if text.contains("://") {
        return Some(text);
    }
    let remedy = format!("write \"file:{text}\" for a folder, or a URL such as \"s3://BUCKET\"");
    reader.fail(node.at, invalid(format!("{text:?} is no place for a history")).remedy(remedy));
    None
}

fn default_backend(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<DefaultBackend> {
    let read = |reader: &mut Reader<'_>, fields: &mut Fields<'_, '_>| {
        let id = reader.required(fields, "backend").and_then(|node| backend(reader, node));
        let services = fields.get("services-per-instance").and_then(|node| reader.count(node));
        let location = fields.get("location").and_then(|node| name(reader, node));
        let guest = fields.get("guest").and_then(|node| backend(reader, node));
        let extensions = reader.extensions(fields.get("extensions"));
        let mut made = DefaultBackend::new(id?);
        made.services_per_instance = services;
        made.location = location;
        made.guest = guest;
        made.extensions = extensions;
        Some(made)
    };
    reader.table(node, "a default backend", read).flatten()
}
