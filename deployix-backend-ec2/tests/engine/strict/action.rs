//! What whoever calls has to be allowed (Service Authorization Reference).

use deployix_backend_ec2::{
    engine::call::{Call, Read, Write},
    request::{Request, Service},
};

/// The action of a call itself.
pub(super) fn own(call: &Call) -> String {
    let operation = match call.operation() {
        "ListObjectsV2" => "ListBucket",
        other => other,
    };
    named(call.service(), operation)
}

/// What AWS looks at beside it.
pub(super) fn beside(call: &Call) -> Vec<String> {
    let made = match call {
        Call::Create { request, .. } => Some(&**request),
        _ => None,
    };
    // In an account that has no role of the service yet.
    let first =
        matches!(made, Some(Request::CreateLoadBalancer(_) | Request::CreateAutoScalingGroup(_)));
    let role = first.then(|| "iam:CreateServiceLinkedRole".to_owned());
    role.into_iter().chain(tagging(call)).collect()
}

fn tagging(call: &Call) -> Option<String> {
    let tagging = match call.service() {
        Service::Ec2 => "CreateTags",
        Service::AutoScaling => "CreateOrUpdateTags",
        Service::ElasticLoadBalancing => "AddTags",
        Service::Ssm => "AddTagsToResource",
        Service::S3 => "PutObjectTagging",
        Service::Route53 | Service::Local => "",
    };
    let is_tagged = match call {
        Call::Create { request, .. } => match &**request {
            Request::PutParameter(it) => !it.tags.is_empty(),
            request => {
                let parameters = request.parameters().unwrap();
                let tags = ["TagSpecifications", "Tags"].map(|key| &parameters[key]);
                tags.iter().any(|it| it.as_array().is_some_and(|tags| !tags.is_empty()))
            }
        },
        Call::Write(Write::PutObject { tagging, .. }) => !tagging.is_empty(),
        // The client asks for the checks of those that run.
        Call::Read(Read::DescribeInstances(_)) => {
            return Some(named(Service::Ec2, "DescribeInstanceStatus"));
        }
        Call::Write(Write::UpdateAutoScalingGroup { .. }) => {
            return Some(named(Service::Ec2, "RunInstances"));
        }
        _ => false,
    };
    is_tagged.then(|| named(call.service(), tagging))
}

fn named(service: Service, operation: &str) -> String {
    let service = match service {
        Service::ElasticLoadBalancing => "elasticloadbalancing",
        other => other.as_str(),
    };
    format!("{service}:{operation}")
}
