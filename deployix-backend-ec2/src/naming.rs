//! Names: the ids of resources, the names that AWS shows, the tags by which all is found again.

use deployix_core::{
    Digest, Fqdn, Name, ResourceId, SecretName,
    backend::{CompileError, Remark},
};

use crate::{
    request::{HostedZoneId, Tag, TagSpecification},
    staging::Staging,
};

/// The tag that says by which deployment something was made.
pub(crate) const DEPLOYMENT: &str = "deployix:deployment";
/// The tag that says as what it was made.
pub(crate) const RESOURCE: &str = "deployix:resource";

/// The id of a resource of this backend.
///
/// # Errors
/// Where the segments make no id, which those of valid names always do.
pub(crate) fn id(segments: &[&str]) -> Result<ResourceId, CompileError> {
    ResourceId::new(format!("{}/{}", crate::ID, segments.join("/")))
        .map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// The id of something of one functionality.
pub(crate) fn of_functionality(name: &Name, rest: &[&str]) -> Result<ResourceId, CompileError> {
    id(&[&["functionality", name.as_str()], rest].concat())
}

/// The id of something of the autoscaling group of a target in a VPC.
pub(crate) fn of_group(target: &Name, place: &str, what: &str) -> Result<ResourceId, CompileError> {
    id(&["target", target.as_str(), place, what])
}

/// The id of something of one machine.
pub(crate) fn of_machine(
    target: &Name,
    machine: u32,
    what: &str,
) -> Result<ResourceId, CompileError> {
    id(&["target", target.as_str(), "machine", &machine.to_string(), what])
}

/// A name for what takes up to `limit` characters, slashes among them: `zalora/hydra-web`.
///
/// No name of a deployment has a slash, so those of two deployments never meet.
pub(crate) fn long(deployment: &Name, rest: &str, limit: usize) -> String {
    let full = format!("{deployment}/{rest}");
    if full.len() <= limit { full } else { shorten(&full, limit, &full) }
}

/// A name for what takes up to 32 letters, digits and hyphens: load balancers and target groups.
///
/// It ends in a digest of `identity`, which holds everything that cannot be changed about the
/// thing, so that its replacement has another name and can be made before it goes.
pub(crate) fn short(deployment: &Name, rest: &str, identity: &str) -> String {
    // Elastic Load Balancing reserves names that start with `internal-`.
    let full = format!("{deployment}-{rest}").replacen("internal-", "internal", 1);
    let identity = format!("{deployment}/{rest}/{identity}");
    shorten(&full, 32, &identity)
}

fn shorten(full: &str, limit: usize, identity: &str) -> String {
    let digest = Digest::of_bytes(identity.as_bytes()).to_string();
    // Names are ASCII, so every index is a boundary.
    let kept = full.get(..full.len().min(limit.saturating_sub(9))).unwrap_or_default();
    format!("{}-{}", kept.trim_end_matches(['-', '/']), &digest[..8])
}

/// The tags of a resource: what it is called, and by which deployment and as what it was made.
pub(crate) fn tags(deployment: &Name, name: &str, id: &ResourceId) -> Vec<Tag> {
    let mut tags = vec![
        Tag::new("Name", value(name)),
        Tag::new(DEPLOYMENT, deployment.as_str()),
        Tag::new(RESOURCE, value(id.as_str())),
    ];
    tags.sort();
    tags
}

/// Fits into a tag: at most 256 characters (Amazon EC2 User Guide, "Tag restrictions").
fn value(text: &str) -> String {
    if text.len() <= 256 { text.to_owned() } else { shorten(text, 256, text) }
}

/// The id of the record of an fqdn. It tells all there is to know of where the record is, so that
/// another fqdn or zone is another resource, and the one before is removed by its id alone.
pub(crate) fn record(
    functionality: &Name,
    zone: &HostedZoneId,
    fqdn: &Fqdn,
) -> Result<ResourceId, CompileError> {
    of_functionality(functionality, &["record", zone.as_str(), fqdn.as_str()])
}

/// Zone and name of a record, from its id.
#[cfg(feature = "engine")]
pub(crate) fn zone_and_name(id: &ResourceId) -> Option<(HostedZoneId, &str)> {
    let mut segments = id.as_str().split('/').skip(3);
    let zone = segments.next().filter(|it| *it == "record").and(segments.next())?;
    Some((HostedZoneId::new(zone).ok()?, segments.next()?))
}

/// The id of what makes a machine take part in a target group of a load balancer. It tells both, so that
/// the machine leaves the group by it alone.
pub(crate) fn registration(
    balancer: &Name,
    group: &str,
    target: &Name,
    machine: u32,
) -> Result<ResourceId, CompileError> {
    let machine = machine.to_string();
    of_functionality(balancer, &[group, "machines", target.as_str(), &machine])
}

/// The ids of the target group and of something of the machine, from that of a registration.
#[cfg(feature = "engine")]
pub(crate) fn registered(id: &ResourceId, what: &str) -> Option<(String, String)> {
    let mut segments = id.as_str().rsplitn(4, '/');
    let (number, target) = (segments.next()?.parse::<u32>().ok()?, segments.next()?);
    let group = segments.next().filter(|it| *it == "machines").and(segments.next())?;
    let of_machine = format!("{}/target/{target}/machine/{number}/{what}", crate::ID);
    Some((group.to_owned(), of_machine))
}

/// Whether something is the machines of an autoscaling group behind a target group, by its id.
#[cfg(feature = "engine")]
pub(crate) fn is_of_machines(id: &ResourceId) -> bool {
    id.as_str().rsplit('/').nth(1) == Some("machines")
}

/// The id of a secret of a target.
pub(crate) fn secret(target: &Name, secret: &SecretName) -> Result<ResourceId, CompileError> {
    id(&["target", target.as_str(), "secret", secret.as_str()])
}

/// Whether it is the id of a secret of a target.
#[cfg(feature = "engine")]
pub(crate) fn is_of_secret(id: &ResourceId) -> bool {
    let mut segments = id.as_str().split('/').skip(1).step_by(2);
    segments.next() == Some("target") && segments.next() == Some("secret")
}

/// What the note beside a record says before the record is made.
pub(crate) fn tags_of_record(deployment: &Name, id: &ResourceId) -> Vec<Tag> {
    vec![Tag::new(DEPLOYMENT, deployment.as_str()), Tag::new(RESOURCE, id.as_str())]
}

/// What the tags begin with that say what was done to a thing, and by which version: attachments,
/// routes and the like have no tags of their own, so those of what they belong to tell of them.
pub(crate) const PART: &str = "deployix:part:";

/// The key of the tag that tells of a part. A key has at most 128 characters.
pub(crate) fn part_key(id: &ResourceId) -> String {
    let rest = id.as_str().strip_prefix("ec2/").unwrap_or(id.as_str());
    let limit = 128 - PART.len();
    let rest = if rest.len() <= limit { rest.to_owned() } else { shorten(rest, limit, rest) };
    format!("{PART}{rest}")
}

/// The tag that tells of a part: by which version it was made, and as what.
pub(crate) fn part(id: &ResourceId, digest: Digest) -> Tag {
    Tag::new(part_key(id), value(&format!("{digest} {id}")))
}

/// The resource by which a machine's user data is put into S3, beside that of the user data.
pub(crate) const STAGED: &str = "staged-user-data";

/// The tag of a launch template that tells where the user data is that its machines fetch.
const STAGED_AT: &str = "deployix:staged";

/// The id with another last segment, as text.
pub(crate) fn sibling(id: &ResourceId, what: &str) -> String {
    let above = id.as_str().rsplit_once('/').map_or("", |(above, _)| above);
    format!("{above}/{what}")
}

/// The id with another last segment.
///
/// # Errors
/// Where that makes no id.
pub(crate) fn beside(id: &ResourceId, what: &str) -> Result<ResourceId, CompileError> {
    ResourceId::new(sibling(id, what))
        .map_err(|error| Remark::new(["name"], error.to_string()).into())
}

/// The tag that tells in which version and where user data was put into S3.
pub(crate) fn staged(contents: &str, staging: &Staging) -> Tag {
    Tag::new(STAGED_AT, format!("{contents} {staging}"))
}

/// What such a tag among others tells.
#[cfg(feature = "engine")]
pub(crate) fn staged_at(tags: &[Tag]) -> Option<(&str, Staging)> {
    let tag = tags.iter().find(|tag| tag.key == STAGED_AT)?;
    let (contents, staging) = tag.value.split_once(' ')?;
    Some((contents, staging.parse().ok()?))
}

/// Tags for what an EC2 request makes.
pub(crate) fn tagged(
    kind: &str,
    deployment: &Name,
    name: &str,
    id: &ResourceId,
) -> Vec<TagSpecification> {
    vec![TagSpecification { resource_type: kind.to_owned(), tags: tags(deployment, name, id) }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_fit_load_balancers() {
        let name = |text: &str| Name::new(text).unwrap();
        let long = name(&"x".repeat(63));
        for (deployment, rest) in [(&long, "y"), (&name("internal"), "hydra"), (&name("a"), "b")] {
            let short = short(deployment, rest, "TCP/3000");
            assert!(short.len() <= 32, "{short}");
            assert!(!short.starts_with("internal-"), "{short}");
            assert!(short.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{short}");
        }
        assert_ne!(short(&name("a-b"), "c", ""), short(&name("a"), "b-c", ""));
        assert_ne!(short(&name("a"), "b", "TCP/80"), short(&name("a"), "b", "TCP/81"));
    }

    #[cfg(feature = "engine")]
    #[test]
    fn the_id_of_a_record_tells_where_it_is() {
        let (zone, fqdn) = (HostedZoneId::new("Z1").unwrap(), Fqdn::new("a.example.com").unwrap());
        let id = record(&Name::new("web").unwrap(), &zone, &fqdn).unwrap();
        assert_eq!(zone_and_name(&id), Some((zone, "a.example.com")));
        for other in ["ec2/functionality/web/security-group", "ec2/functionality/web/record/z/a"] {
            assert_eq!(zone_and_name(&ResourceId::new(other).unwrap()), None, "{other}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn the_id_of_a_registration_tells_group_and_machine() {
        let (front, pool) = (Name::new("front").unwrap(), Name::new("pool").unwrap());
        // In a network that is called so.
        let name = "target-group-80/network/machines/10.0.0.0-20";
        let id = registration(&front, name, &pool, 2).unwrap();
        let group = of_functionality(&front, &[name]).unwrap();
        let machine = of_machine(&pool, 2, "instance").unwrap();
        assert_eq!(registered(&id, "instance"), Some((group.to_string(), machine.to_string())));
        let whole = of_functionality(&front, &[name, "machines", "pool"]).unwrap();
        let attributes = of_functionality(&front, &[name, "attributes"]).unwrap();
        assert!(is_of_machines(&whole) && !is_of_machines(&attributes));
        for other in [&whole, &group, &machine] {
            assert_eq!(registered(other, "instance"), None, "{other}");
        }
    }

    #[cfg(feature = "engine")]
    #[test]
    fn the_id_of_a_secret_is_told_from_others() {
        let target = Name::new("secret").unwrap();
        let id = secret(&target, &SecretName::new("db").unwrap()).unwrap();
        assert!(is_of_secret(&id), "{id}");
        assert!(!is_of_secret(&of_group(&target, "network/n", "autoscaling-group").unwrap()));
        assert!(!is_of_secret(&of_functionality(&target, &["secret", "x"]).unwrap()));
    }

    #[test]
    fn long_names_of_two_deployments_never_meet() {
        let name = |text: &str| Name::new(text).unwrap();
        assert_ne!(long(&name("a-b"), "c", 255), long(&name("a"), "b-c", 255));
        assert_eq!(long(&name("a"), &"x".repeat(300), 255).len(), 255);
    }
}
