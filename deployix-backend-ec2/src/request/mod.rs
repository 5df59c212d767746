//! The requests that make a deployment real on AWS, as typed data.
//!
//! A resource of this backend is exactly one API call. Its request has the names and shapes of the
//! AWS API (EC2 2016-11-15, Auto Scaling 2011-01-01, Elastic Load Balancing 2015-12-01, Route 53
//! 2013-04-01, Systems Manager 2014-11-06), so that it can be read beside AWS's own reference and
//! checked against AWS's own service model; but for user data, which is rendered on this side, and may
//! be put into S3 (2006-03-01). What is known only once another resource exists stands
//! in it as a [`Value::Output`], and a secret by its name alone.

mod balancer;
mod id;
mod machine;
mod network;
mod parameter;
mod record;
mod rule;
mod scaling;
mod staged;
mod tag;
mod value;

pub use balancer::{
    Action, Attribute, BalancerScheme, CreateListener, CreateLoadBalancer, CreateTargetGroup,
    ForwardTo, Matcher, ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes, RegisterTargets,
    TargetDescription,
};
pub use id::{
    AddressId, BalancerDnsName, BalancerZoneId, GroupId, IdError, ImageId, InstanceId, InterfaceId,
    InternetGatewayId, LoadBalancerArn, ObjectKey, PrivateIp, PublicCidr, PublicIp, RouteTableId,
    SubnetId, TargetGroupArn, UserDataText, VolumeId, VpcId, ZoneName,
};
pub use machine::{
    AllocateAddress, AssociateAddress, AttachVolume, BlockDevice, CreateLaunchTemplate,
    CreateNetworkInterface, CreateVolume, Ebs, InstanceInterface, InstanceProfile,
    LaunchTemplateData, LaunchTemplateRef, MetadataOptions, RenderUserData, RunInstances,
    UserDataEncoding,
};
pub use network::{
    AssociateRouteTable, AttachInternetGateway, CreateInternetGateway, CreateRoute,
    CreateRouteTable, CreateSubnet, CreateVpc,
};
pub use parameter::{ParameterValue, PutParameter};
pub use record::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeResourceRecordSets, HostedZoneId,
    HostedZoneIdError, ResourceRecord, ResourceRecordSet,
};
pub use rule::{
    AuthorizeSecurityGroupEgress, AuthorizeSecurityGroupIngress, CreateSecurityGroup, IpPermission,
    IpProtocol, IpRange, Ipv6Range, Peer, RevokeSecurityGroupEgress, UserIdGroupPair,
};
pub use scaling::{
    AttachLoadBalancerTargetGroups, AutoScalingTag, CreateAutoScalingGroup,
    InstanceMaintenancePolicy,
};
use serde::Serialize;
pub use staged::StageUserData;
pub use tag::{Tag, TagSpecification};
pub use value::{OUTPUT_KEY, Output, Value};

/// The AWS service that takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Service {
    /// Elastic Compute Cloud.
    #[serde(rename = "ec2")]
    Ec2,
    /// EC2 Auto Scaling.
    #[serde(rename = "autoscaling")]
    AutoScaling,
    /// Elastic Load Balancing, version 2.
    #[serde(rename = "elasticloadbalancingv2")]
    ElasticLoadBalancing,
    /// Route 53, which knows no regions.
    #[serde(rename = "route53")]
    Route53,
    /// Systems Manager, with its Parameter Store.
    #[serde(rename = "ssm")]
    Ssm,
    /// Simple Storage Service.
    #[serde(rename = "s3")]
    S3,
    /// None: worked out on this side, from other resources' outputs.
    #[serde(rename = "local")]
    Local,
}

impl Service {
    /// The name under which AWS's SDKs know it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::AutoScaling => "autoscaling",
            Self::ElasticLoadBalancing => "elasticloadbalancingv2",
            Self::Route53 => "route53",
            Self::Ssm => "ssm",
            Self::S3 => "s3",
            Self::Local => "local",
        }
    }
}

macro_rules! requests {
    ($($operation:ident: $service:ident,)*) => {
        /// One call of an AWS API, or one local computation.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the request of its name")]
        pub enum Request {
            $($operation($operation),)*
        }

        /// What a request asks for, apart from its parameters.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant is the operation of its name")]
        pub enum Operation {
            $($operation,)*
        }

        impl Operation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$operation,)*];

            /// Its name in the API.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$operation => stringify!($operation),)* }
            }

            /// The service that takes it.
            #[must_use]
            pub fn service(self) -> Service {
                match self { $(Self::$operation => Service::$service,)* }
            }

            /// The operation of a name in the API, where it is one of these.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($operation) => Some(Self::$operation),)*
                    _ => None,
                }
            }
        }

        impl Request {
            /// The operation's name in the API.
            #[must_use]
            pub fn operation(&self) -> &'static str {
                match self { $(Self::$operation(_) => stringify!($operation),)* }
            }

            /// The service that takes it.
            #[must_use]
            pub fn service(&self) -> Service {
                match self { $(Self::$operation(_) => Service::$service,)* }
            }

            /// The request's parameters as JSON.
            ///
            /// # Errors
            /// Where a value is no JSON, which none of the request types has.
            pub fn parameters(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$operation(request) => serde_json::to_value(request),)* }
            }

            /// Reads an operation's parameters back.
            ///
            /// # Errors
            /// Where no [`Operation`] is named so or the parameters are not its own.
            pub fn parse(
                operation: &str,
                parameters: serde_json::Value,
            ) -> Result<Self, serde_json::Error> {
                match operation {
                    $(stringify!($operation) => {
                        serde_json::from_value(parameters).map(Self::$operation)
                    })*
                    other => Err(serde::de::Error::custom(format!("no operation is named {other:?}"))),
                }
            }
        }

        $(impl From<$operation> for Request {
            fn from(request: $operation) -> Self {
                Self::$operation(request)
            }
        })*
    };
}

impl Request {
    /// Whether the operation takes a client token. Where one is not given, the SDK makes one up, under
    /// which a repeated call makes a second thing; so each of these has to be given one, and only these.
    #[must_use]
    pub fn takes_token(&self) -> bool {
        matches!(
            self,
            Self::CreateLaunchTemplate(_)
                | Self::CreateNetworkInterface(_)
                | Self::CreateRouteTable(_)
                | Self::CreateVolume(_)
                | Self::RunInstances(_)
        )
    }
}

requests! {
    CreateVpc: Ec2,
    CreateSubnet: Ec2,
    CreateInternetGateway: Ec2,
    AttachInternetGateway: Ec2,
    CreateRouteTable: Ec2,
    CreateRoute: Ec2,
    AssociateRouteTable: Ec2,
    CreateSecurityGroup: Ec2,
    RevokeSecurityGroupEgress: Ec2,
    AuthorizeSecurityGroupIngress: Ec2,
    AuthorizeSecurityGroupEgress: Ec2,
    RenderUserData: Local,
    StageUserData: Local,
    CreateNetworkInterface: Ec2,
    AllocateAddress: Ec2,
    AssociateAddress: Ec2,
    CreateVolume: Ec2,
    AttachVolume: Ec2,
    CreateLaunchTemplate: Ec2,
    RunInstances: Ec2,
    CreateAutoScalingGroup: AutoScaling,
    AttachLoadBalancerTargetGroups: AutoScaling,
    CreateLoadBalancer: ElasticLoadBalancing,
    ModifyLoadBalancerAttributes: ElasticLoadBalancing,
    CreateTargetGroup: ElasticLoadBalancing,
    ModifyTargetGroupAttributes: ElasticLoadBalancing,
    CreateListener: ElasticLoadBalancing,
    RegisterTargets: ElasticLoadBalancing,
    ChangeResourceRecordSets: Route53,
    PutParameter: Ssm,
}
