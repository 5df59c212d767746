//! What may not be done is told before anything is done, all of it at once.

use deployix_backend_ec2::extension::TargetSettings;
use deployix_core::{
    Name, ResourceId,
    backend::{Action, Backend, Inputs, Owner, Resource, Step},
    execute::permissions,
    plan::Plan,
    spec::{Bytes, Deployment},
};

use crate::{
    faults::everything,
    scenario::three,
    site::{Site, ZONE, ends, hydra},
    support::With,
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
    let plan = site.plan_to_destroy().await;
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
        "iam:CreateServiceLinkedRole",
        "iam:PassRole",
        "s3:PutObject",
        "ssm:GetParameters",
    ] {
        assert!(found.unasked.contains(action), "{action}: {:?}", found.unasked);
    }
    assert!(found.unasked.iter().all(|action| !action.starts_with("ec2:")), "{:?}", found.unasked);
}

/// The same, with larger machines and disks.
fn larger() -> Deployment {
    let larger =
        TargetSettings { instance_type: Some("m5.large".to_owned()), ..TargetSettings::default() };
    let one = TargetSettings {
        instance_profile: Some("db".to_owned()),
        state_disk: Bytes(40 << 30),
        ..larger.clone()
    };
    everything().target_settings("one", &one).target_settings("fleet", &larger)
}

#[tokio::test(start_paused = true)]
async fn whatever_a_deploy_a_change_and_a_destroy_call_was_asked_about_or_listed_before() {
    let site = Site::new(&everything(), 94);
    for wanted in [Some(everything()), Some(larger()), Some(three(8080)), None] {
        let plan = match wanted.clone() {
            Some(deployment) => site.plan(deployment).await,
            None => site.plan_to_destroy().await,
        };
        assert!(!plan.steps.is_empty());
        site.aws.take_actions();
        let mut told = permissions(&plan, &site.registry()).await.unwrap().unasked;
        told.extend(site.aws.take_actions());

        let report = site.carry_out(&plan).await;
        assert!(report.is_good(), "{}", ends(&report));
        let called = site.aws.take_actions();
        assert!(called.len() > 20, "{called:?}");
        let untold: Vec<_> = called.difference(&told).collect();
        assert!(untold.is_empty(), "{untold:?} of {} steps", plan.steps.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_and_nobody_knows_may_be_anything() {
    let site = Site::new(&hydra(), 96);
    let compiled = site.compiled(hydra(), &site.heads().await);
    let at = compiled.connected().sites().next().unwrap();
    refuses(&site, &["DeleteVpc", "TerminateInstances", "CreateVpc"]);
    let found = async |id: &str| {
        let owner = Owner::Target(Name::new("one").unwrap());
        let found = Resource::new(ResourceId::new(id).unwrap(), owner, Inputs::default(), []);
        let step = Step::new(&site.name, at, &found, Action::Remove);
        site.backend().permissions(&[step]).await.unwrap()
    };
    let thing = found("ec2/target/one/thing").await;
    let denied: Vec<_> = thing.denied.iter().collect();
    assert_eq!(denied, ["ec2:DeleteVpc", "ec2:TerminateInstances"]);
    assert!(thing.unasked.contains("autoscaling:DeleteAutoScalingGroup"), "{thing:?}");
    assert!(thing.unasked.iter().all(|it| !it.starts_with("route53:")), "{thing:?}");

    let record = found(&format!("ec2/functionality/web/record/{ZONE}/www.example.com")).await;
    assert!(record.denied.is_empty(), "{record:?}");
    assert!(record.unasked.contains("route53:ChangeResourceRecordSets"), "{record:?}");
    assert!(record.unasked.iter().all(|it| it.starts_with("route53:")), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_else_aws_refuses_hides_no_missing_action() {
    let site = Site::new(&hydra(), 95);
    let plan = site.plan(hydra()).await;
    refuses(&site, &["CreateVpc", "RunInstances"]);
    site.aws.mood(|mood| {
        for (operation, code) in [
            ("CreateSubnet", "MissingParameter"),
            ("CreateTags", "InvalidID"),
            ("DescribeVpcs", "InvalidParameterValue"),
            ("DescribeInstanceStatus", "InvalidInstanceID.Malformed"),
            ("CreateSecurityGroup", "VpcLimitExceeded"),
            ("AssociateAddress", "AuthFailure"),
        ] {
            mood.refuses.insert(operation, (code, ""));
        }
    });
    assert_eq!(denied(&site, &plan).await, ["ec2:CreateVpc", "ec2:RunInstances"]);
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

#[tokio::test(start_paused = true)]
async fn credentials_that_nobody_knows_end_the_asking() {
    let site = Site::new(&hydra(), 97);
    let plan = site.plan(hydra()).await;
    site.aws.mood(|mood| {
        let says = "AWS was not able to validate the provided access credentials";
        mood.refuses.insert("any", ("AuthFailure", says));
    });
    let error = permissions(&plan, &site.registry()).await.unwrap_err();
    assert!(error.to_string().contains("get-caller-identity"), "{error}");
}
