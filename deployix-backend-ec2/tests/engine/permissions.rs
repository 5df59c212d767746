//! What may not be done is told before anything is done, all of it at once.

use deployix_core::{
    execute::permissions,
    history::Heads,
    plan::{Only, Plan, destroy},
};

use crate::{
    faults::everything,
    site::{Site, hydra},
};

fn refuses(site: &Site, operations: &[&'static str]) {
    site.aws.mood(|mood| {
        for operation in operations {
            mood.refuses.insert(operation, ("UnauthorizedOperation", "not authorized"));
        }
    });
}

async fn denied(site: &Site, plan: &Plan) -> Vec<String> {
    let found = permissions(plan, &site.registry()).await.unwrap();
    found.denied.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn every_missing_action_is_told_by_name_and_nothing_is_done() {
    let site = Site::new(&hydra(), 90);
    let plan = site.plan(hydra()).await;
    assert_eq!(denied(&site, &plan).await, [""; 0]);
    refuses(&site, &["RunInstances", "CreateVpc", "CreateTags", "DescribeInstances", "DeleteVpc"]);
    let needed = ["ec2:CreateTags", "ec2:CreateVpc", "ec2:DescribeInstances", "ec2:RunInstances"];
    assert_eq!(denied(&site, &plan).await, needed, "nothing is removed, so that is not asked for");
    assert_eq!(site.aws.inventory(), [""; 0]);
    assert_eq!(site.aws.take_writes(), [""; 0]);
    assert_eq!(site.aws.write_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_removing_needs_is_asked_before_it_is_removed() {
    let site = Site::new(&everything(), 91);
    site.deploy(everything()).await;
    let stands = site.aws.inventory();
    let heads: Heads = site.heads().await;
    let name = deployix_core::Name::new("test").unwrap();
    let plan = destroy(&name, &heads, &Only::All, true).value;
    refuses(&site, &["TerminateInstances", "DeleteVolume", "DetachVolume", "RunInstances"]);
    let needed = ["ec2:DeleteVolume", "ec2:DetachVolume", "ec2:TerminateInstances"];
    assert_eq!(denied(&site, &plan).await, needed);
    assert_eq!(site.aws.inventory(), stands);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_listed() {
    let site = Site::new(&everything(), 92);
    let plan = site.plan(everything()).await;
    let found = permissions(&plan, &site.registry()).await.unwrap();
    for action in [
        "autoscaling:CreateAutoScalingGroup",
        "elasticloadbalancing:CreateListener",
        "iam:PassRole",
        "s3:PutObject",
    ] {
        assert!(found.unasked.contains(action), "{action}: {:?}", found.unasked);
    }
    assert!(found.unasked.iter().all(|action| !action.starts_with("ec2:")), "{:?}", found.unasked);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_have_expired_are_no_missing_permission() {
    let site = Site::new(&hydra(), 93);
    let plan = site.plan(hydra()).await;
    site.aws.mood(|mood| {
        mood.refuses.insert("any", ("RequestExpired", ""));
    });
    let error = permissions(&plan, &site.registry()).await.unwrap_err();
    assert!(error.to_string().contains("sign in again"), "{error}");
}
