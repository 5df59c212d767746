//! What AWS refuses, and what a person reads of it.

use deployix_backend_ec2::live::Sdk;

use crate::{
    moto::Moto,
    scenario::{balanced, pair},
    site::{Account, Site, ends},
};

/// What a person reads of a deploy of which an operation is refused; nothing is left of it.
async fn told(operation: &'static str, code: &'static str, message: &'static str) -> String {
    let site = Site::of(Moto::new().await, &pair());
    site.aws.refuse(operation, code, message);
    let wanted = || balanced("m5.large", &["0.0.0.0/0"]);
    let plan = site.plan(wanted()).await;
    let report = site.carry_out(&plan).await;
    assert!(!report.is_good());
    site.aws.proxy.mood(|mood| mood.refuses.clear());
    site.destroy().await;
    assert_eq!(site.aws.things().await, [""; 0]);
    ends(&report)
}

#[tokio::test]
async fn a_missing_permission_names_the_action() {
    let message = "You are not authorized to perform this operation. User: \
                   arn:aws:iam::123456789012:user/ops is not authorized to perform: \
                   ec2:RunInstances on resource: arn:aws:ec2:eu-central-1:123456789012:instance/*";
    let told = told("RunInstances", "UnauthorizedOperation", message).await;
    assert!(told.contains("allow the action `ec2:RunInstances` in its IAM policy"), "{told}");
    assert!(told.contains("user/ops"), "{told}");
}

#[tokio::test]
async fn a_full_quota_names_where_to_ask_for_more() {
    let message = "You have requested more vCPU capacity than your current vCPU limit of 5 allows";
    let told = told("RunInstances", "VcpuLimitExceeded", message).await;
    assert!(told.contains("Service Quotas") && told.contains("vCPU limit of 5"), "{told}");
    let told = self::told("CreateLoadBalancer", "TooManyLoadBalancers", "").await;
    assert!(told.contains("Service Quotas"), "{told}");
}

#[tokio::test]
async fn an_unknown_image_names_the_setting() {
    let message = "The image id '[ami-0123456789abcdef0]' does not exist";
    let told = told("RunInstances", "InvalidAMIID.NotFound", message).await;
    assert!(told.contains("set `extensions.ec2.image`"), "{told}");
}

#[tokio::test]
async fn a_region_that_the_account_has_not_names_the_setting() {
    let told = told("any", "OptInRequired", "You are not subscribed to this service").await;
    assert!(told.contains("correct `extensions.ec2.region`"), "{told}");
}

#[tokio::test]
async fn expired_credentials_ask_to_sign_in_again() {
    for code in ["RequestExpired", "ExpiredToken"] {
        let told = told("any", code, "The security token included in the request is expired").await;
        assert!(told.contains("sign in again"), "{told}");
        assert!(told.contains("request 00000000-0000-4000-8000-000000000000"), "{told}");
    }
}

#[tokio::test]
async fn nobody_answering_is_told_as_that() {
    let moto = Moto::new().await;
    let mut config = crate::moto::config(&moto.proxy, "us-east-1").await.into_builder();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    config.set_endpoint_url(Some(format!("http://127.0.0.1:{port}")));
    let sdk = Sdk::with(config.build());
    let read = deployix_backend_ec2::engine::call::Read::DescribeVpcs(Default::default());
    let error =
        deployix_backend_ec2::engine::Aws::call(&sdk, None, &read.into()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.maybe_done), ("NoConnection", false), "{error}");
}
