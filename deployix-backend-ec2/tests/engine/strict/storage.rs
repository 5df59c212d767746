//! S3: objects in buckets, all there at once (Amazon S3 User Guide, "Amazon S3 data consistency model").

use std::collections::BTreeMap;

use base64::Engine;
use deployix_backend_ec2::{
    engine::{
        call::{Answer, Page, Query, Write},
        shape::Object,
    },
    request::{LaunchTemplateData, Tag},
};
use sha2::{Digest, Sha256};

use super::{
    World,
    table::{Result, new_tags, page, refuse},
};

/// An object.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) body: Vec<u8>,
    tags: Vec<Tag>,
}

impl Stored {
    /// Takes a tag off it.
    pub(super) fn untag(&mut self, key: &str) {
        self.tags.retain(|tag| tag.key != key);
    }
}

/// The objects of each bucket by key.
pub(crate) type Buckets = BTreeMap<String, BTreeMap<String, Stored>>;

impl World {
    fn bucket(&mut self, name: &str) -> Result<&mut BTreeMap<String, Stored>> {
        match self.buckets.get_mut(name) {
            Some(bucket) => Ok(bucket),
            None => refuse("NoSuchBucket", name),
        }
    }

    pub(super) fn write_storage(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::PutObject { bucket, key, body, server_side_encryption, tagging } => {
                if tagging.len() > 10 {
                    return refuse("BadRequest", "Object tags cannot be greater than 10");
                }
                if server_side_encryption != "AES256" || key.len() > 1024 {
                    return refuse("InvalidArgument", key);
                }
                let stored = Stored { body: body.clone(), tags: new_tags(tagging)? };
                self.bucket(bucket)?.insert(key.clone(), stored);
            }
            Write::DeleteObject { bucket, key } => {
                self.bucket(bucket)?.remove(key);
            }
            other => return refuse("InvalidAction", other.operation()),
        }
        Ok(())
    }

    pub(super) fn objects(&mut self, query: &Query) -> Result<Page<Object>> {
        let value = |name: &str| {
            let filter = query.filters.iter().find(|filter| filter.name == name);
            filter.and_then(|filter| filter.values.first()).cloned().unwrap_or_default()
        };
        let (bucket, prefix) = (value("bucket"), value("prefix"));
        let keys = self.bucket(&bucket)?.keys().filter(|key| key.starts_with(&prefix)).cloned();
        page(keys.map(|key| Object { bucket: bucket.clone(), key }).collect(), query, self.page)
    }

    pub(super) fn object_tags(&mut self, bucket: &str, key: &str) -> Result<Answer> {
        match self.bucket(bucket)?.get(key) {
            Some(object) => Ok(Answer::Tags(vec![(key.to_owned(), object.tags.clone())])),
            None => refuse("NoSuchKey", key),
        }
    }

    /// Whether a machine started from a template finds what it is told to fetch, and may have it.
    pub(super) fn boots(&self, data: &LaunchTemplateData) -> bool {
        let text = &super::network::known(&data.user_data).0;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Some(line) = text.lines().find_map(|line| line.strip_prefix("exec python3 - ")) else {
            return true;
        };
        let [bucket, key, _] = line.split(' ').collect::<Vec<_>>()[..] else { return false };
        let object = self.buckets.get(bucket).and_then(|bucket| bucket.get(key));
        let digest = object.map(|object| Sha256::digest(&object.body));
        let digest = digest.iter().flatten().map(|byte| format!("{byte:02x}")).collect::<String>();
        data.iam_instance_profile.is_some() && key.rsplit('/').next() == Some(&digest)
    }

    /// A line for each object, without the digest of what is in it, since ids are.
    pub(super) fn stored(&self) -> Vec<String> {
        let all = self.buckets.iter().flat_map(|(name, objects)| {
            objects.iter().map(move |(key, object)| {
                let tag = |key: &str| object.tags.iter().find(|tag| tag.key == key);
                let digest = tag("deployix:digest").map(|tag| &*tag.value).unwrap_or_default();
                let folder = key.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("object {name}/{folder} {digest}")
            })
        });
        all.collect()
    }
}
