//! Requests for names: records of a Route 53 zone.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::{BalancerDnsName, BalancerZoneId, Tag, Value};

/// A hosted zone's id, such as `Z0123456789ABCDEFGHIJ`.
///
/// Invariant: 1 to 32 upper-case letters and digits (Amazon Route 53 API Reference,
/// `ChangeResourceRecordSets`, "Id"), without the `/hostedzone/` that some operations put before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct HostedZoneId(String);

/// Tells that a text is no hosted zone's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hosted zone's id, such as \"Z0123456789ABCDEFGHIJ\"")]
pub struct HostedZoneIdError(String);

impl HostedZoneId {
    /// Parses the text.
    ///
    /// # Errors
    /// Refuses what has not the form of such an id.
    pub fn new(text: &str) -> Result<Self, HostedZoneIdError> {
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(HostedZoneIdError(text.chars().take(80).collect()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostedZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostedZoneId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Changes records of a zone, all or none of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ChangeResourceRecordSets {
    /// The zone.
    pub hosted_zone_id: HostedZoneId,
    /// What to change.
    pub change_batch: ChangeBatch,
}

/// Changes that happen together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ChangeBatch {
    /// The changes, in order.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Change {
    /// What is done.
    pub action: ChangeAction,
    /// To which records.
    pub resource_record_set: ResourceRecordSet,
}

/// What is done to records. There is no `UPSERT` here: it would overwrite what somebody else made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeAction {
    /// Makes them; refused where there are such.
    Create,
    /// Removes them; refused where they are not exactly these.
    Delete,
}

/// The records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ResourceRecordSet {
    /// The name, in lower case and without a final dot.
    pub name: String,
    /// The type, such as `A`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Which one of several such it is, where whoever asks gets one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_identifier: Option<String>,
    /// How long others may remember it, in seconds; none of an alias.
    #[serde(rename = "TTL", default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// The records; none of an alias.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_records: Vec<ResourceRecord>,
    /// What it is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_target: Option<AliasTarget>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ResourceRecord {
    /// What it says, in the form of its type.
    pub value: Value<String>,
}

/// Something of AWS that goes by another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AliasTarget {
    /// The zone that its own name is in.
    pub hosted_zone_id: Value<BalancerZoneId>,
    /// Its own name.
    #[serde(rename = "DNSName")]
    pub dns_name: Value<BalancerDnsName>,
    /// Whether it is left out while it is ill.
    pub evaluate_target_health: bool,
}

/// The type of the record that says whose another one is.
const NOTE: &str = "TXT";

/// What its name begins with.
const NOTE_LABEL: &str = "_deployix.";

/// How long others may remember it, in seconds.
const NOTE_TTL: u32 = 300;

impl ResourceRecordSet {
    /// What a name is followed by in a note: records have no tags of their own, so one beside them
    /// has those that others have, each as a character string of its own (RFC 1035, section 3.3.14).
    ///
    /// Tags hold printable ASCII without quotes and backslashes, which stand for themselves there.
    #[must_use]
    pub fn note(name: &str, tags: &[Tag]) -> Self {
        let string = |tag: &Tag| format!("\"{}={}\"", tag.key, tag.value);
        let text = tags.iter().map(string).collect::<Vec<_>>().join(" ");
        Self {
            name: format!("{NOTE_LABEL}{name}"),
            kind: NOTE.to_owned(),
            set_identifier: None,
            ttl: Some(NOTE_TTL),
            resource_records: vec![ResourceRecord { value: text.into() }],
            alias_target: None,
        }
    }

    /// Of which name this is the note, and what it says; nothing where it is none.
    #[must_use]
    pub fn as_note(&self) -> Option<(&str, Vec<Tag>)> {
        let name = self.name.strip_prefix(NOTE_LABEL).filter(|_| self.kind == NOTE)?;
        let [record] = self.resource_records.as_slice() else { return None };
        let strings = record.value.known()?.strip_prefix('"')?.strip_suffix('"')?.split("\" \"");
        let tag = |string: &str| string.split_once('=').map(|(key, value)| Tag::new(key, value));
        Some((name, strings.map(tag).collect::<Option<Vec<_>>>()?))
    }

    /// What it says, as a short text.
    #[must_use]
    pub fn says(&self) -> String {
        let text = |value: &Value<String>| value.known().cloned().unwrap_or_default();
        let mut says: Vec<_> = self.resource_records.iter().map(|it| text(&it.value)).collect();
        says.sort();
        if let Some(alias) = &self.alias_target {
            let name = alias.dns_name.known().map(ToString::to_string).unwrap_or_default();
            says.push(name.trim_end_matches('.').to_ascii_lowercase());
        }
        says.extend(self.ttl.map(|ttl| format!("for {ttl} s")));
        format!("{} {}", self.kind, says.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_the_id_that_aws_gives_it() {
        for good in ["Z1", "Z0123456789ABCDEFGHIJ"] {
            assert_eq!(HostedZoneId::new(good).unwrap().as_str(), good);
        }
        let long = "Z".repeat(33);
        for bad in ["", "/hostedzone/Z1", "z1", "Z1\n", &long] {
            assert!(HostedZoneId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_note_is_read_back_and_nothing_else_is_taken_for_one() {
        let tags = [Tag::new("deployix:deployment", "shop"), Tag::new("a", "b = c")];
        let note = ResourceRecordSet::note("web.example.com", &tags);
        assert_eq!(note.as_note(), Some(("web.example.com", tags.to_vec())));
        let text = |text: &str| vec![ResourceRecord { value: text.to_owned().into() }];
        for other in [
            ResourceRecordSet { kind: "A".to_owned(), ..note.clone() },
            ResourceRecordSet { name: "web.example.com".to_owned(), ..note.clone() },
            ResourceRecordSet { resource_records: text("a=b"), ..note.clone() },
            ResourceRecordSet { resource_records: text("\"v=spf1 -all\" \"x\""), ..note.clone() },
            ResourceRecordSet { resource_records: text("\""), ..note.clone() },
            ResourceRecordSet { resource_records: vec![], ..note.clone() },
        ] {
            assert_eq!(other.as_note(), None, "{other:?}");
        }
    }
}
