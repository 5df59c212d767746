//! Names as newtypes: parsed once at the edge, never validated again inside.
//!
//! Every type here is cheap to clone, ordered, and prints as exactly the text it was parsed from
//! (an [`Fqdn`] in lower case).

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

/// Tells why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}: {reason}")]
pub struct NameError {
    text: String,
    what: &'static str,
    reason: &'static str,
}

impl NameError {
    /// The rule that the text breaks, as a clause: "it has an upper-case letter".
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// What was asked for, with its article: "a name", "a host name".
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.what
    }
}

macro_rules! newtype {
    ($(#[$meta:meta])* $type:ident, $what:literal, $check:path) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(SmolStr);

        impl $type {
            /// Parses the text.
            ///
            /// # Errors
            /// Refuses a text that breaks the invariants of the type.
            pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
                let text = text.as_ref();
                match $check(text) {
                    Ok(()) => Ok(Self(SmolStr::new(text))),
                    Err(reason) => Err(NameError { text: shorten(text), what: $what, reason }),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $type {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = SmolStr::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

newtype! {
    /// The name of a functionality, target, network, endpoint, group member or deployment.
    ///
    /// Invariant: 1 to 63 lower-case ASCII letters, digits and hyphens, neither first nor last a
    /// hyphen. So a name is also a DNS label (RFC 1123, section 2.1), a file name and the stem of
    /// a unit name.
    ///
    /// ```
    /// use deployix_core::Name;
    ///
    /// assert_eq!(Name::new("hydra-web")?.as_str(), "hydra-web");
    /// assert!(Name::new("Hydra").is_err());
    /// # Ok::<(), deployix_core::name::NameError>(())
    /// ```
    Name, "a name", check_name
}

newtype! {
    /// The id under which a backend is registered, such as `docker` or `nixos`.
    ///
    /// Invariant: as for [`Name`].
    BackendId, "a backend's id", check_name
}

newtype! {
    /// The name of a secret.
    ///
    /// Invariant: 1 to 128 ASCII letters, digits, `.`, `_` and `-`, starting with a letter or a
    /// digit; so it is also a file name.
    SecretName, "a secret's name", check_key
}

newtype! {
    /// A key that is looked up at run time, such as `com.harkonnen.maps.key`.
    ///
    /// Invariant: as for [`SecretName`].
    LookupKey, "a lookup key", check_key
}

newtype! {
    /// The namespace of an extension: bare (`ec2`) in this project, `domain/name` elsewhere.
    ///
    /// Invariant: a [`Name`], or a host name, a slash and a [`Name`].
    Namespace, "an extension's namespace", check_namespace
}

newtype! {
    /// The id of a resource, unique within a deployment: segments joined by slashes, the first
    /// ones saying where it belongs: `docker/box/container/hydra-web`.
    ///
    /// Invariant: 1 to 512 printable ASCII characters without blanks, no segment empty.
    ResourceId, "a resource's id", check_resource_id
}

newtype! {
    /// The id of a deployment's history, which its copies share and no other has.
    ///
    /// Invariant: 32 lower-case hexadecimal digits.
    HistoryId, "a history's id", check_history_id
}

newtype! {
    /// The path of a file below a folder that its user chooses, with `/` between the parts.
    ///
    /// Invariant: not empty, no part empty, `.` or `..`, no backslash, no control character; so it
    /// never leaves the folder, on any operating system.
    RelativePath, "a relative path", check_relative_path
}

newtype! {
    /// An absolute path on a machine, with `/` between the parts.
    ///
    /// Invariant: starts with `/`, no part empty, `.` or `..`, no control character, not `/` alone.
    AbsolutePath, "an absolute path", check_absolute_path
}

impl HistoryId {
    /// The first 12 digits: enough for people to tell one from another.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// A backend's id keeps the rules of a name.
impl From<&BackendId> for Name {
    fn from(id: &BackendId) -> Self {
        Self(id.0.clone())
    }
}

impl RelativePath {
    /// The path `self/part`, where `part` is itself such a path.
    ///
    /// # Errors
    /// Refuses a part that is not a relative path.
    pub fn join(&self, part: impl AsRef<str>) -> Result<Self, NameError> {
        Self::new(format!("{}/{}", self.0, part.as_ref()))
    }

    /// The path `folder/self`.
    #[must_use]
    pub fn below(&self, folder: &Name) -> Self {
        Self(SmolStr::from(format!("{folder}/{}", self.0)))
    }

    /// The parts of the path.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

impl AbsolutePath {
    /// The path without its leading slash.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }
}

/// A fully qualified domain name, in lower case.
///
/// Invariant: 1 to 253 characters in labels of 1 to 63 ASCII letters, digits and hyphens (RFC 1123,
/// section 2.1), no final dot. Upper-case letters are folded, since names compare without regard to
/// case (RFC 4343).
///
/// ```
/// use deployix_core::Fqdn;
///
/// assert_eq!(Fqdn::new("Hydra.Zalora.com")?, Fqdn::new("hydra.zalora.com")?);
/// # Ok::<(), deployix_core::name::NameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn(SmolStr);

impl Fqdn {
    /// Parses the text.
    ///
    /// # Errors
    /// Refuses what is not a host name.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        check_host(text).and_then(|()| check_no_address(text)).map_err(|reason| NameError {
            text: shorten(text),
            what: "a host name",
            reason,
        })?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Ok(Self(SmolStr::from(text.to_ascii_lowercase())));
        }
        Ok(Self(SmolStr::new(text)))
    }

    /// The text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Fqdn {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl AsRef<str> for Fqdn {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Fqdn {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Fqdn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fqdn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// Keeps an error message readable when the text is not.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn check_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 63 {
        return Err("it is longer than 63 characters");
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("it has an upper-case letter");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("it may hold only lower-case letters, digits and hyphens");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("it starts or ends with a hyphen");
    }
    Ok(())
}

fn check_history_id(text: &str) -> Result<(), &'static str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 32 || !text.bytes().all(is_digit) {
        return Err("it has not 32 lower-case hexadecimal digits");
    }
    Ok(())
}

fn check_key(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 128 {
        return Err("it is longer than 128 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err("it may hold only letters, digits, dots, underscores and hyphens");
    }
    if !text.as_bytes()[0].is_ascii_alphanumeric() {
        return Err("it must start with a letter or a digit");
    }
    Ok(())
}

fn check_namespace(text: &str) -> Result<(), &'static str> {
    match text.split_once('/') {
        None => check_name(text),
        Some((domain, name)) => {
            check_host(domain)?;
            check_name(name)
        }
    }
}

fn check_resource_id(text: &str) -> Result<(), &'static str> {
    if text.len() > 512 {
        return Err("it is longer than 512 characters");
    }
    if text.split('/').any(str::is_empty) {
        return Err("it has an empty segment");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it may hold only printable ASCII characters without blanks");
    }
    Ok(())
}

fn check_relative_path(text: &str) -> Result<(), &'static str> {
    if text.starts_with('/') {
        return Err("it is absolute");
    }
    if text.contains('\\') {
        return Err("it has a backslash");
    }
    check_parts(text)
}

fn check_absolute_path(text: &str) -> Result<(), &'static str> {
    match text.strip_prefix('/') {
        None => Err("it does not start with a slash"),
        Some(rest) => check_parts(rest),
    }
}

fn check_parts(text: &str) -> Result<(), &'static str> {
    if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("a part of it is empty, \".\" or \"..\"");
    }
    if text.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    Ok(())
}

/// RFC 1123, section 2.1: what ends in a number is read as an address.
fn check_no_address(text: &str) -> Result<(), &'static str> {
    match text.rsplit('.').next() {
        Some(last) if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("it ends in a number, so it reads as an address")
        }
        _ => Ok(()),
    }
}

fn check_host(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 253 {
        return Err("it is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Err("it has an empty label (a dot too many)");
        }
        if label.len() > 63 {
            return Err("a label is longer than 63 characters");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err("it may hold only letters, digits, hyphens and dots");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Err("a label starts or ends with a hyphen");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_label() {
        for good in ["a", "hydra-web", "0", &"x".repeat(63)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "ü", "a\n", &"x".repeat(64)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_fqdn_is_folded_to_lower_case() {
        assert_eq!(Fqdn::new("GIT.Zalora.COM").unwrap().as_str(), "git.zalora.com");
        for bad in ["", ".", "1.2.3.4", "a..b", "a.", "-a.b", "a_b", "a/b", &"a.".repeat(130)] {
            assert!(Fqdn::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_relative_path_never_leaves_its_folder() {
        for bad in ["", "/etc", "../x", "a/../b", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb"] {
            assert!(RelativePath::new(bad).is_err(), "{bad:?}");
        }
        let path = RelativePath::new("a/b").unwrap().join("c.txt").unwrap();
        assert_eq!(path.as_str(), "a/b/c.txt");
    }

    #[test]
    fn an_absolute_path_is_in_normal_form() {
        assert_eq!(AbsolutePath::new("/etc/x").unwrap().relative(), "etc/x");
        for bad in ["", "/", "etc", "/etc/", "/etc/../x", "//x", "/a\0"] {
            assert!(AbsolutePath::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_namespace_is_bare_or_has_a_domain() {
        assert!(Namespace::new("ec2").is_ok());
        assert!(Namespace::new("example.org/mesh").is_ok());
        assert!(Namespace::new("example.org/mesh/x").is_err());
    }

    #[test]
    fn an_error_says_which_rule_is_broken_and_stays_short() {
        let error = Name::new("Ab").unwrap_err();
        assert_eq!(error.to_string(), "\"Ab\" is not a name: it has an upper-case letter");
        assert!(Name::new("é".repeat(10_000)).unwrap_err().to_string().len() < 300);
    }
}
