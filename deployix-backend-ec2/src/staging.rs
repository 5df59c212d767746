//! [`Staging`]: where in S3 machines fetch what is too large for their user data.

use std::{fmt, str::FromStr};

use deployix_core::Name;
#[cfg(any(test, feature = "engine"))]
use deployix_core::ResourceId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in S3, such as `s3://bucket/prefix`, whose objects have keys that mean the same
/// everywhere: in a URL, in a shell's words and in a tag.
///
/// Invariant: the bucket has 3 to 63 lower-case letters, digits, dots and hyphens (Amazon S3 User Guide,
/// "Bucket naming rules"); the prefix has segments of letters, digits, `.`, `_` and `-`, none of them
/// empty, `.` or `..`, and at most 160 characters.
///
/// ```
/// use deployix_backend_ec2::staging::Staging;
///
/// let staging: Staging = "s3://zalora-boot/machines".parse()?;
/// assert_eq!((staging.bucket(), staging.prefix()), ("zalora-boot", "machines"));
/// assert!("https://zalora-boot".parse::<Staging>().is_err());
/// # Ok::<(), deployix_backend_ec2::staging::StagingError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Staging {
    bucket: String,
    prefix: String,
}

/// Tells that a text is no place in S3.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no place in S3, such as \"s3://bucket/prefix\": {why}")]
pub struct StagingError {
    text: String,
    why: &'static str,
}

/// So many characters a prefix has at most: with it, a bucket's name fits into the value of a tag.
const LONGEST_PREFIX: usize = 160;

impl Staging {
    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What its keys begin with, without a slash at the end; empty for all of the bucket.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the keys of a deployment's objects begin with.
    pub(crate) fn of_deployment(&self, deployment: &Name) -> String {
        let Self { prefix, .. } = self;
        if prefix.is_empty() { format!("{deployment}/") } else { format!("{prefix}/{deployment}/") }
    }

    /// What the keys of a resource's objects begin with, in whatever version.
    pub(crate) fn of_resource(&self, deployment: &Name, id: &str) -> String {
        let rest = id.strip_prefix(crate::ID).map_or(id, |rest| rest.trim_start_matches('/'));
        format!("{}{rest}/", self.of_deployment(deployment))
    }

    /// The resource that an object of a deployment was put there as.
    #[cfg(any(test, feature = "engine"))]
    pub(crate) fn resource(&self, deployment: &Name, key: &str) -> Option<ResourceId> {
        let rest = key.strip_prefix(&self.of_deployment(deployment))?;
        let mut from_the_end = rest.rsplitn(3, '/').skip(2);
        ResourceId::new(format!("{}/{}", crate::ID, from_the_end.next()?)).ok()
    }
}

impl FromStr for Staging {
    type Err = StagingError;

    fn from_str(text: &str) -> Result<Self, StagingError> {
        let error = |why| Err(StagingError { text: text.chars().take(240).collect(), why });
        let Some(rest) = text.strip_prefix("s3://") else {
            return error("it does not begin with \"s3://\"");
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let outer = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let inner = |byte: u8| outer(Some(byte)) || b".-".contains(&byte);
        let ends = outer(bucket.bytes().next()) && outer(bucket.bytes().last());
        if !(3..=63).contains(&bucket.len()) || !ends || !bucket.bytes().all(inner) {
            return error(
                "a bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens, and \
                 neither begins nor ends with one of the latter",
            );
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let segment = |it: &str| !matches!(it, "" | "." | "..") && it.bytes().all(plain);
        if prefix.len() > LONGEST_PREFIX {
            return error("its prefix has more than 160 characters");
        }
        if !prefix.is_empty() && !prefix.split('/').all(segment) {
            return error("the words of its prefix are letters, digits, dots, `_` and hyphens");
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for Staging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

impl Serialize for Staging {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Staging {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name::new("shop").unwrap()
    }

    #[test]
    fn a_place_in_s3_reads_back_as_it_was_written() {
        for text in ["s3://abc", "s3://a.b-c1/x", "s3://abc/x_1/Y.z"] {
            let read: Staging = text.parse().unwrap();
            assert_eq!(read.to_string(), text);
        }
        assert_eq!("s3://abc/x/".parse::<Staging>().unwrap().to_string(), "s3://abc/x");
    }

    #[test]
    fn what_could_mean_something_else_is_no_place() {
        let long = format!("s3://abc/{}", "x".repeat(161));
        for text in [
            "",
            "abc/x",
            "s3://",
            "s3://ab",
            "s3://Abc",
            "s3://-abc",
            "s3://abc-",
            "s3://a_c",
            "s3://abc//x",
            "s3://abc/../x",
            "s3://abc/a b",
            "s3://abc/a'b",
            "s3://abc/é",
            &long,
        ] {
            assert!(text.parse::<Staging>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_tells_its_resource() {
        let id = ResourceId::new("ec2/target/one/machine/0/staged-user-data").unwrap();
        for text in ["s3://abc", "s3://abc/x/y"] {
            let staging: Staging = text.parse().unwrap();
            let folder = staging.of_resource(&name(), id.as_str());
            assert!(folder.starts_with(&staging.of_deployment(&name())));
            assert_eq!(staging.resource(&name(), &format!("{folder}0a/1b")), Some(id.clone()));
            assert_eq!(staging.resource(&name(), "other/target/one/x/y/z"), None);
            assert_eq!(staging.resource(&name(), &staging.of_deployment(&name())), None);
        }
    }
}
