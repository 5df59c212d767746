//! S3: what machines fetch.

use aws_sdk_s3::{config::Builder, primitives::ByteStream, types::ServerSideEncryption};

use super::{answer::tag, fault::sent, read::parameter, write::elsewhere};
use crate::{
    engine::{
        call::{Answer, CallError, Page, Query, Write},
        shape::Object,
    },
    request::Tag,
};

/// The client of a region. An endpoint of one's own seldom has a name for each bucket.
pub(super) fn client(config: &aws_config::SdkConfig) -> aws_sdk_s3::Client {
    let own = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
    aws_sdk_s3::Client::from_conf(Builder::from(config).force_path_style(own).build())
}

pub(super) async fn write(to: &aws_sdk_s3::Client, write: &Write) -> Result<(), CallError> {
    match write {
        Write::PutObject { bucket, key, body, server_side_encryption, tagging } => {
            let encryption = ServerSideEncryption::from(server_side_encryption.as_str());
            let call = to.put_object().bucket(bucket).key(key).server_side_encryption(encryption);
            let call = call.body(ByteStream::from(body.clone())).tagging(query(tagging));
            sent(call, |call| call.send()).await?;
        }
        Write::DeleteObject { bucket, key } => {
            sent(to.delete_object().bucket(bucket).key(key), |call| call.send()).await?;
        }
        other => return Err(elsewhere(other)),
    }
    Ok(())
}

pub(super) async fn objects(
    from: &aws_sdk_s3::Client,
    query: &Query,
) -> Result<Page<Object>, CallError> {
    let one = |name| parameter(query, name).and_then(|values| values.into_iter().next());
    let bucket = one("bucket").unwrap_or_default();
    let call = from.list_objects_v2().bucket(&bucket).set_prefix(one("prefix"));
    let told =
        sent(call.set_continuation_token(query.next_token.clone()), |call| call.send()).await?;
    let object = |it: &aws_sdk_s3::types::Object| match it.key() {
        Some(key) => Ok(Object { bucket: bucket.clone(), key: key.to_owned() }),
        None => Err(CallError::unreadable("an object's Key is missing")),
    };
    let items = told.contents().iter().map(object).collect::<Result<_, _>>()?;
    Ok(Page { items, next_token: told.next_continuation_token().map(str::to_owned) })
}

pub(super) async fn tags(
    from: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
) -> Result<Answer, CallError> {
    let told = sent(from.get_object_tagging().bucket(bucket).key(key), |call| call.send()).await?;
    let tags = told.tag_set().iter().map(|it| tag(Some(it.key()), Some(it.value())));
    Ok(Answer::Tags(vec![(key.to_owned(), tags.collect::<Result<_, _>>()?)]))
}

/// Tags as `PutObject` takes them: the query of a URL (Amazon S3 API Reference, `x-amz-tagging`).
fn query(tags: &[Tag]) -> String {
    let encoded = |text: &str| {
        let byte = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        text.bytes().map(byte).collect::<String>()
    };
    let pairs = tags.iter().map(|it| format!("{}={}", encoded(&it.key), encoded(&it.value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_the_query_of_a_url() {
        let tags = [Tag::new("deployix:owner", "edge a b"), Tag::new("x", "1+1=é&")];
        assert_eq!(query(&tags), "deployix%3Aowner=edge%20a%20b&x=1%2B1%3D%C3%A9%26");
    }
}
