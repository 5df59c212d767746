//! S3, and what may not be done, through AWS's own SDK against moto.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/moto.rs"]
mod moto;
#[path = "support/sdk.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod sdk;

use deployix_backend_ec2::{
    engine::{
        Aws,
        call::{Answer, Call, CallError, Filter, Page, Query, Read, Write},
        shape::Object,
    },
    live::Sdk,
    request::{CreateSecurityGroup, InstanceId, Request, Tag, VpcId},
};

async fn sdk() -> Sdk {
    Sdk::with(sdk::config(moto::server(), "eu-west-1").await)
}

fn bucket(name: &str) -> String {
    let bucket = format!("{name}-{}", std::process::id());
    moto::put(&bucket, b"");
    bucket
}

async fn call(sdk: &Sdk, call: impl Into<Call>) -> Result<Answer, CallError> {
    sdk.call(None, &call.into()).await
}

fn objects(bucket: &str, prefix: &str, next_token: Option<String>) -> Read {
    let filters = vec![Filter::new("bucket", [bucket]), Filter::new("prefix", [prefix])];
    Read::ListObjectsV2(Query { filters, next_token })
}

#[tokio::test]
async fn objects_are_put_found_by_their_prefix_and_tags_and_removed() {
    let (sdk, bucket) = (sdk().await, bucket("staging"));
    let tagging = vec![Tag::new("deployix:owner", "edge a b"), Tag::new("deployix:x", "a/b+c=d:e")];
    let key = |at: u32| format!("boot/shop/{at:04}");
    // More than S3 lists in one page.
    for at in 0..1003 {
        let write = Write::PutObject {
            bucket: bucket.clone(),
            key: key(at),
            body: vec![0x1f, 0x8b, 0],
            server_side_encryption: "AES256".to_owned(),
            tagging: tagging.clone(),
        };
        call(&sdk, write).await.unwrap();
    }
    let mut all: Vec<Object> = Vec::new();
    let mut next = None;
    loop {
        let told = call(&sdk, objects(&bucket, "boot/shop/", next)).await.unwrap();
        let Answer::Object(Page { items, next_token }) = told else { panic!("{told:?}") };
        all.extend(items);
        next = next_token;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 1003);
    assert_eq!(all[7], Object { bucket: bucket.clone(), key: key(7) });
    let read = Read::GetObjectTagging { bucket: bucket.clone(), key: key(7) };
    assert_eq!(call(&sdk, read.clone()).await.unwrap(), Answer::Tags(vec![(key(7), tagging)]));

    call(&sdk, Write::DeleteObject { bucket: bucket.clone(), key: key(7) }).await.unwrap();
    assert_eq!(call(&sdk, read).await.unwrap_err().code, "NoSuchKey");
    let nowhere = call(&sdk, objects("nobody-has-this", "x", None)).await.unwrap_err();
    assert_eq!(nowhere.code, "NoSuchBucket");
}

#[tokio::test]
async fn a_call_that_is_asked_about_is_not_carried_out() {
    let sdk = sdk().await;
    let dry = |call: Call| Call::DryRun(Box::new(call));
    let instance_ids = vec![InstanceId::new("i-0123456789abcdef0").unwrap()];
    for wanted in [
        dry(Read::DescribeInstances(Query::default()).into()),
        dry(Write::StopInstances { instance_ids }.into()),
    ] {
        let error = sdk.call(None, &wanted).await.unwrap_err();
        assert_eq!(error.code, CallError::WOULD_BE_DONE, "{error}");
    }
    let group = CreateSecurityGroup {
        group_name: format!("dry-{}", std::process::id()),
        description: "x".to_owned(),
        vpc_id: VpcId::new("vpc-00000000000000000").unwrap().into(),
        tag_specifications: Vec::new(),
    };
    let request = Box::new(Request::from(group));
    let asked = dry(Call::Create { request, client_token: None });
    assert_eq!(sdk.call(None, &asked).await.unwrap_err().code, CallError::WOULD_BE_DONE);
    let elsewhere = dry(Write::DeleteListener { listener_arn: String::new() }.into());
    assert_eq!(sdk.call(None, &elsewhere).await.unwrap_err().code, "InvalidInput");
}
