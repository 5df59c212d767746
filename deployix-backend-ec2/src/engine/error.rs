//! What AWS's errors mean, and what to do about each.
//!
//! Codes are those of the Amazon EC2 API Reference, "Error codes", the Amazon EC2 Auto Scaling API
//! Reference, the Elastic Load Balancing API Reference, the Amazon Route 53 API Reference and the AWS
//! Systems Manager API Reference, "Common errors" and those of each operation.

use deployix_core::backend::{BackendError, ErrorKind, ErrorStatus};

use super::call::{Call, CallError};
use crate::request::Service;

/// AWS asks to be called less often; nothing was done.
pub(crate) fn is_throttled(error: &CallError) -> bool {
    const CODES: [&str; 10] = [
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TooManyUpdates",
    ];
    CODES.contains(&error.code.as_str())
}

/// AWS failed, or did not answer: the same call may do later.
pub(super) fn is_passing(error: &CallError) -> bool {
    const CODES: [&str; 9] = [
        CallError::NO_ANSWER,
        CallError::NO_CONNECTION,
        "InternalError",
        "InternalFailure",
        "RequestTimeout",
        "RequestTimeoutException",
        "ScalingActivityInProgress",
        "ServiceUnavailable",
        "Unavailable",
    ];
    is_throttled(error) || error.maybe_done || CODES.contains(&error.code.as_str())
}

/// What was named is not there: `InvalidVpcID.NotFound`, `TargetGroupNotFound`.
pub(crate) fn is_not_found(error: &CallError) -> bool {
    const CODES: [&str; 4] = [
        "Gateway.NotAttached",
        "InvalidInstanceID.Malformed",
        "InvalidResourceId",
        // A machine that is in no target group, or not known to load balancers yet.
        "InvalidTarget",
    ];
    // Auto Scaling and Elastic Load Balancing call it a wrong value.
    let says = |words: &str| error.message.contains(words);
    let no_group = error.code == "ValidationError" && (says("not found") || says("does not exist"));
    error.code.contains("NotFound")
        || error.code.starts_with("NoSuch")
        || CODES.contains(&error.code.as_str())
        || no_group
}

/// The instance profile that machines are to have is not known: to EC2 a wrong value, to Auto Scaling a
/// wrong launch template, and told in words alone. One that was just made is not known everywhere (IAM
/// User Guide, "Changes that I make are not always immediately visible").
pub(super) fn is_unknown_profile(error: &CallError) -> bool {
    matches!(&*error.code, "InvalidParameterValue" | "ValidationError")
        && error.message.contains("Invalid IAM Instance Profile")
}

/// AWS has no machine to give for now.
fn is_out_of_capacity(error: &CallError) -> bool {
    matches!(&*error.code, "InsufficientInstanceCapacity" | "InsufficientHostCapacity")
}

/// Whether there is no use in waiting: AWS refuses it, or has none to give for now. What only takes long
/// may come yet.
pub(super) fn is_hopeless(error: &BackendError) -> bool {
    let source = std::error::Error::source(error).and_then(|it| it.downcast_ref::<CallError>());
    let takes_long = error.kind() == ErrorKind::TimedOut;
    !takes_long && error.status() == ErrorStatus::Permanent
        || source.is_some_and(is_out_of_capacity)
}

/// It stands already: `InvalidGroup.Duplicate`, `DuplicateLoadBalancerName`.
pub(super) fn is_there_already(error: &CallError) -> bool {
    const CODES: [&str; 6] = [
        "AlreadyExists",
        "InvalidLaunchTemplateName.AlreadyExistsException",
        "InvalidSubnet.Conflict",
        "Resource.AlreadyAssociated",
        "RouteAlreadyExists",
        "VolumeInUse",
    ];
    error.code.contains("Duplicate") || CODES.contains(&error.code.as_str())
}

/// Something else uses it still, which may be on its way out.
pub(super) fn is_in_use(error: &CallError) -> bool {
    const CODES: [&str; 10] = [
        "CannotDelete",
        "DependencyViolation",
        "IncorrectInstanceState",
        "IncorrectState",
        "InvalidIPAddress.InUse",
        "InvalidNetworkInterface.InUse",
        "InvalidParameterValue.InUse",
        "OperationNotPermitted",
        "ResourceInUse",
        "VolumeInUse",
    ];
    // Of a network interface it is said in words alone.
    let says = error.code == "InvalidParameterValue" && error.message.contains("in use");
    CODES.contains(&error.code.as_str()) || says
}

/// What was just made may not be known everywhere yet, or not free yet (Amazon EC2 Developer Guide,
/// "Eventual consistency"); what people name themselves is there or not, but for instance profiles.
pub(super) fn is_late(error: &CallError) -> bool {
    let named =
        ["InvalidAMIID.", "InvalidKeyPair.", "InvalidZone", "NoSuchBucket", "NoSuchHostedZone"];
    let by_people = named.iter().any(|code| error.code.starts_with(code));
    (is_not_found(error) && !by_people) || is_in_use(error) || is_unknown_profile(error)
}

/// Whoever calls may not.
pub(super) fn is_unauthorized(error: &CallError) -> bool {
    matches!(&*error.code, "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation")
}

/// What is named is somebody else's: Amazon EC2 says so by the code that it has for credentials as well
/// (Amazon EC2 API Reference, "Error codes", `AuthFailure`), and tells them apart in words alone.
fn is_of_others(error: &CallError) -> bool {
    let says = |words: &str| error.message.contains(words);
    error.code == "AuthFailure" && !says("credentials") && !says("Authorization header")
}

const NOT_REACHED: &str =
    "AWS is not reached: check this machine's network, and `AWS_ENDPOINT_URL` where it is set";

/// What is wrong with whoever calls, or with where to, so that it would be said of any call.
fn setup(error: &CallError) -> Option<(ErrorKind, &'static str)> {
    if is_of_others(error) {
        return None;
    }
    match error.code.as_str() {
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => Some((
            ErrorKind::Denied,
            "the credentials for AWS have expired: sign in again (`aws sso login`, or new keys), and \
             check this machine's clock",
        )),
        "AuthFailure"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Some((
            ErrorKind::Denied,
            "AWS does not know the credentials: check those that `aws sts get-caller-identity` \
             shows, and that the account uses this region",
        )),
        CallError::NO_CREDENTIALS => Some((
            ErrorKind::Denied,
            "there are no credentials for AWS: sign in (`aws sso login`), or set `AWS_PROFILE`, or \
             `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`",
        )),
        CallError::BAD_CONFIGURATION => Some((
            ErrorKind::Invalid,
            "AWS's configuration on this machine cannot be used: correct `~/.aws/config`, \
             `~/.aws/credentials` or `AWS_PROFILE`",
        )),
        CallError::NO_REGION => Some((
            ErrorKind::Invalid,
            "nobody says which region: set `extensions.ec2.region` of the location, or `AWS_REGION`",
        )),
        CallError::UNREACHED => Some((ErrorKind::Unavailable, NOT_REACHED)),
        CallError::NO_ENDPOINT => Some((
            ErrorKind::Invalid,
            "the region's endpoint has no address, so there is no such region: correct \
             `extensions.ec2.region` of the location",
        )),
        CallError::UNREADABLE => Some((
            ErrorKind::Unexpected,
            "AWS tells something that its API reference does not; this is an error in Deployix, or \
             `AWS_ENDPOINT_URL` leads to something else than AWS",
        )),
        "OptInRequired" | "UnknownRegion" | "InvalidRegion" => Some((
            ErrorKind::Invalid,
            "the account cannot use this region: correct `extensions.ec2.region` of the location, or \
             enable the region for the account",
        )),
        _ => None,
    }
}

/// Whether an error says nothing of the call, but of whoever calls and of where to.
pub(super) fn is_of_setup(error: &CallError) -> bool {
    setup(error).is_some()
}

/// What an error means to whoever deploys.
pub(super) fn meaning(call: &Call, error: CallError) -> BackendError {
    let operation = call.operation();
    let code = error.code.as_str();
    if is_passing(&error) {
        let message = if is_throttled(&error) {
            "AWS takes no more calls for now, after several tries"
        } else if code == CallError::NO_CONNECTION {
            NOT_REACHED
        } else {
            "AWS does not answer as it should, after several tries"
        };
        return BackendError::temporary(ErrorKind::Unavailable, operation, message)
            .caused_by(error);
    }
    let permanent = |kind, message: String| BackendError::permanent(kind, operation, message);
    let meaning = match code {
        _ if is_unauthorized(&error) => {
            let action = action(call, &error.message);
            let message = format!(
                "whoever deploys may not do this: allow the action `{action}` in its IAM policy"
            );
            permanent(ErrorKind::Denied, message)
        }
        _ if let Some((kind, message)) = setup(&error) => permanent(kind, message.to_owned()),
        _ if is_of_others(&error) => permanent(
            ErrorKind::Denied,
            "this account may not use what is named here, since it is another's: check \
             `extensions.ec2.image` of the target and the ids of networks that exist, have what is \
             another's shared with the account, and check that the credentials are of the right one"
                .to_owned(),
        ),
        "InvalidAMIID.Malformed" | "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" => permanent(
            ErrorKind::NotFound,
            "there is no such image here: set `extensions.ec2.image` of the target to one of its \
             region, since ids of images differ from region to region"
                .to_owned(),
        ),
        "InvalidKeyPair.NotFound" => permanent(
            ErrorKind::NotFound,
            "there is no such key pair here: correct `extensions.ec2.key-name` of the target, or \
             import the key into its region"
                .to_owned(),
        ),
        _ if is_unknown_profile(&error) => permanent(
            ErrorKind::NotFound,
            "there is no such instance profile: correct `extensions.ec2.instance-profile` of the \
             target, or make it in the account of the credentials (`aws iam \
             list-instance-profiles`); it is not the name of a role"
                .to_owned(),
        ),
        "NoSuchHostedZone" => permanent(
            ErrorKind::NotFound,
            "there is no such zone: correct `extensions.ec2.hosted-zone` of the location, and check \
             that the credentials are those of the zone's account"
                .to_owned(),
        ),
        "InvalidChangeBatch" => permanent(
            ErrorKind::Conflict,
            "the zone has other records than it tells of, or none of this name may be in it: check \
             `extensions.ec2.hosted-zone` of the location, and deploy again"
                .to_owned(),
        ),
        "NoSuchBucket" | "PermanentRedirect" => permanent(
            ErrorKind::NotFound,
            "there is no such bucket in this region: correct `extensions.ec2.staging` of the location, \
             or make the bucket"
                .to_owned(),
        ),
        _ if is_out_of_capacity(&error) => BackendError::temporary(
            ErrorKind::Unavailable,
            operation,
            "AWS has no such machine to give in this zone now: try later, another \
             `extensions.ec2.instance-type`, or another zone",
        ),
        "Unsupported" => permanent(
            ErrorKind::Invalid,
            "this zone has no machines of that type: choose another \
             `extensions.ec2.instance-type`, or another zone"
                .to_owned(),
        ),
        _ if is_quota(code) => permanent(
            ErrorKind::Conflict,
            "the account has used up its quota: request an increase in AWS's console, \"Service \
             Quotas\", for this region, or remove what is no longer needed"
                .to_owned(),
        ),
        "IdempotentParameterMismatch" => permanent(
            ErrorKind::Conflict,
            "somebody else made another thing with the same token: deploy again".to_owned(),
        ),
        _ if is_in_use(&error) => permanent(
            ErrorKind::Conflict,
            "something that is none of this deployment uses it: remove that, and deploy again"
                .to_owned(),
        ),
        _ if is_not_found(&error) => permanent(
            ErrorKind::NotFound,
            "what it needs is gone: run `plan --refresh`, and deploy again".to_owned(),
        ),
        _ => permanent(ErrorKind::Invalid, "AWS refuses it".to_owned()),
    };
    meaning.caused_by(error)
}

/// `VcpuLimitExceeded`, `RulesPerSecurityGroupLimitExceeded`, `TooManyLoadBalancers`.
fn is_quota(code: &str) -> bool {
    code.ends_with("LimitExceeded") || code.starts_with("TooMany")
}

/// The action that a policy has to allow: as AWS names it, else after the operation (Service
/// Authorization Reference).
pub(super) fn action(call: &Call, message: &str) -> String {
    let words = message.split_whitespace();
    let named =
        words.map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric())).find(|word| {
            let prefixes = [
                "ec2:",
                "autoscaling:",
                "elasticloadbalancing:",
                "iam:",
                "ssm:",
                "kms:",
                "route53:",
                "s3:",
            ];
            prefixes.iter().any(|prefix| word.starts_with(prefix))
        });
    if let Some(named) = named {
        return named.to_owned();
    }
    action_of(call.service(), call.operation())
}

/// The action that is named after an operation.
pub(super) fn action_of(service: Service, operation: &str) -> String {
    let service = match service {
        Service::Ec2 | Service::Local => "ec2",
        Service::AutoScaling => "autoscaling",
        Service::ElasticLoadBalancing => "elasticloadbalancing",
        Service::Route53 => "route53",
        Service::Ssm => "ssm",
        Service::S3 => "s3",
    };
    // The one operation of these that its action is not named after.
    let operation = operation.replace("ListObjectsV2", "ListBucket");
    format!("{service}:{operation}")
}

#[cfg(test)]
mod tests {
    use std::{error::Error, time::Duration};

    use deployix_core::backend::Awaited;

    use super::*;
    use crate::{engine::call::Write, request::InstanceId};

    fn call() -> Call {
        let id = InstanceId::new("i-0123456789abcdef0").unwrap();
        Write::ModifyInstanceAttribute { instance_id: id, disable_api_termination: true }.into()
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, kind, words) in [
            ("UnauthorizedOperation", ErrorKind::Denied, "`ec2:ModifyInstanceAttribute`"),
            ("RequestExpired", ErrorKind::Denied, "sign in again"),
            ("InvalidClientTokenId", ErrorKind::Denied, "get-caller-identity"),
            ("AuthFailure", ErrorKind::Denied, "shared with the account"),
            ("OptInRequired", ErrorKind::Invalid, "extensions.ec2.region"),
            (CallError::NO_CREDENTIALS, ErrorKind::Denied, "aws sso login"),
            (CallError::BAD_CONFIGURATION, ErrorKind::Invalid, "~/.aws/config"),
            (CallError::NO_REGION, ErrorKind::Invalid, "set `extensions.ec2.region`"),
            (CallError::UNREACHED, ErrorKind::Unavailable, "check this machine's network"),
            (CallError::NO_ENDPOINT, ErrorKind::Invalid, "correct `extensions.ec2.region`"),
            (CallError::UNREADABLE, ErrorKind::Unexpected, "AWS_ENDPOINT_URL"),
            ("InvalidAMIID.NotFound", ErrorKind::NotFound, "extensions.ec2.image"),
            ("InvalidKeyPair.NotFound", ErrorKind::NotFound, "extensions.ec2.key-name"),
            ("NoSuchHostedZone", ErrorKind::NotFound, "extensions.ec2.hosted-zone"),
            ("InvalidChangeBatch", ErrorKind::Conflict, "extensions.ec2.hosted-zone"),
            ("VcpuLimitExceeded", ErrorKind::Conflict, "Service Quotas"),
            ("ParameterLimitExceeded", ErrorKind::Conflict, "Service Quotas"),
            ("TooManyLoadBalancers", ErrorKind::Conflict, "Service Quotas"),
            ("NoSuchBucket", ErrorKind::NotFound, "extensions.ec2.staging"),
            ("DependencyViolation", ErrorKind::Conflict, "remove that"),
            ("InvalidParameterValue", ErrorKind::Invalid, "AWS refuses it"),
        ] {
            let error = meaning(&call(), CallError::refused(code, "as AWS says"));
            assert_eq!((error.kind(), error.status()), (kind, ErrorStatus::Permanent), "{code}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.source().unwrap().to_string().contains("as AWS says"));
        }
    }

    #[test]
    fn credentials_that_are_refused_are_told_from_things_that_are() {
        for (message, is_credentials) in [
            ("AWS was not able to validate the provided access credentials", true),
            ("Authorization header or parameters are not formatted correctly.", true),
            ("Not authorized for images: [ami-0123456789abcdef0]", false),
            ("The address '192.0.2.1' does not belong to you.", false),
        ] {
            let refused = CallError::refused("AuthFailure", message);
            assert_eq!(is_of_setup(&refused), is_credentials, "{message}");
            let told = meaning(&call(), refused).to_string();
            assert_eq!(told.contains("get-caller-identity"), is_credentials, "{told}");
        }
    }

    #[test]
    fn an_unknown_instance_profile_is_late_and_then_told_with_its_remedy() {
        let of_ec2 = "Value (boot) for parameter iamInstanceProfile.name is invalid. Invalid IAM \
                      Instance Profile name";
        let of_scaling = format!("You must use a valid fully-formed launch template. {of_ec2}");
        for (code, words) in
            [("InvalidParameterValue", of_ec2), ("ValidationError", of_scaling.as_str())]
        {
            let refused = CallError::refused(code, words);
            assert!(is_late(&refused), "{code}");
            let error = meaning(&call(), refused);
            assert_eq!(
                (error.kind(), error.status()),
                (ErrorKind::NotFound, ErrorStatus::Permanent)
            );
            assert!(error.to_string().contains("extensions.ec2.instance-profile"), "{error}");
        }
    }

    #[test]
    fn what_takes_long_is_not_given_up_as_what_is_refused() {
        let (what, seen) = ("the instance i-1 to run".to_owned(), "it is pending".to_owned());
        let wait = Awaited { what, seen, waited: Duration::from_secs(900) };
        assert!(!is_hopeless(&BackendError::timed_out("DescribeInstances", &wait, "look at it")));
        for (code, hopeless) in [
            ("InvalidAMIID.NotFound", true),
            ("InsufficientInstanceCapacity", true),
            ("Throttling", false),
        ] {
            assert_eq!(
                is_hopeless(&meaning(&call(), CallError::refused(code, ""))),
                hopeless,
                "{code}"
            );
        }
    }

    #[test]
    fn what_people_make_and_name_themselves_is_not_waited_for() {
        for code in ["InvalidAMIID.NotFound", "NoSuchBucket", "NoSuchHostedZone"] {
            assert!(!is_late(&CallError::refused(code, "")), "{code}");
        }
        assert!(is_late(&CallError::refused("InvalidVpcID.NotFound", "")));
    }

    #[test]
    fn what_passes_is_tried_again() {
        for code in ["RequestLimitExceeded", "Throttling", "PriorRequestNotComplete"] {
            let error = meaning(&call(), CallError::refused(code, ""));
            assert_eq!(error.status(), ErrorStatus::Temporary, "{code}");
        }
        let cut = meaning(&call(), CallError::no_answer("the connection was cut"));
        assert_eq!(cut.status(), ErrorStatus::Temporary);
    }

    #[test]
    fn the_action_is_the_one_that_aws_names() {
        let message = "You are not authorized to perform: ec2:CreateTags on it.";
        assert_eq!(action(&call(), message), "ec2:CreateTags");
        let message = "User: arn:aws:iam::1:user/a is not authorized to perform: \
                       route53:ChangeResourceRecordSets on resource: arn:aws:route53:::hostedzone/Z1";
        assert_eq!(action(&call(), message), "route53:ChangeResourceRecordSets");
        let delete = Call::from(Write::DeleteParameter { name: "/a".to_owned() });
        assert_eq!(action(&delete, ""), "ssm:DeleteParameter");
    }
}
