//! [`Aws`]: the narrow client, and the calls that go through it.
//!
//! A call is plain data in AWS's own names and shapes: the [`Request`]s that make things, the
//! [`Write`]s that change and remove them, and the [`Read`]s that tell what stands. So the same
//! engine runs over AWS's SDK and over a world of a test's own.

use std::fmt;

use async_trait::async_trait;
use ipnet::Ipv4Net;

use super::shape::{
    Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate, LaunchTemplateVersion,
    Listener, LoadBalancer, NetworkInterface, Object, Parameter, RouteTable, SecurityGroup,
    SecurityGroupRule, Subnet, TargetGroup, TargetHealth, Volume, Vpc,
};
use crate::request::{
    Action, AddressId, AutoScalingTag, CreateAutoScalingGroup, CreateTargetGroup, GroupId,
    InstanceId, InterfaceId, InternetGatewayId, Request, ResourceRecordSet, RouteTableId, Service,
    SubnetId, Tag, TargetDescription, VolumeId, VpcId,
};

/// Carries calls out. Whoever talks to AWS by it tries nothing again, waits for nothing and gives one
/// page at a time: the engine does the rest.
#[async_trait]
pub trait Aws: fmt::Debug + Send + Sync {
    /// Carries out one call in a region; in that of whoever deploys where it is `None`.
    ///
    /// # Errors
    /// What AWS answers, or that it did not.
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError>;
}

/// One call of an AWS API.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Makes something; every value in the request is known. With a token, where the operation
    /// takes one: the same token with the same request makes nothing a second time.
    Create {
        /// What to make.
        request: Box<Request>,
        /// The operation's `ClientToken`.
        client_token: Option<String>,
    },
    /// Changes or removes something.
    Write(Write),
    /// Tells what stands.
    Read(Read),
    /// Asks whether Amazon EC2 would carry a call out, without carrying it out (its operations'
    /// `DryRun`). The answer is an error of AWS either way: [`CallError::WOULD_BE_DONE`], or why not.
    DryRun(Box<Call>),
}

impl Call {
    /// The operation's name in the API.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create { request, .. } => request.operation(),
            Self::Write(write) => write.operation(),
            Self::Read(read) => read.operation(),
            Self::DryRun(call) => call.operation(),
        }
    }

    /// The service that takes it.
    #[must_use]
    pub fn service(&self) -> Service {
        match self {
            Self::Create { request, .. } => request.service(),
            Self::Write(write) => write.service(),
            Self::Read(read) => read.service(),
            Self::DryRun(call) => call.service(),
        }
    }

    /// Whether carrying it out twice is the same as once.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Create { client_token, .. } => client_token.is_some(),
            // A second refresh is refused while the first goes on, and begins anew after it.
            Self::Write(write) => !matches!(write, Write::StartInstanceRefresh { .. }),
            Self::Read(_) | Self::DryRun(_) => true,
        }
    }
}

impl Call {
    /// Asks whether something would be made. The token is one under which nothing is ever made.
    pub(super) fn dry_run(request: Request) -> Self {
        let client_token = request.takes_token().then(|| "dry-run".to_owned());
        Self::DryRun(Box::new(Self::Create { request: Box::new(request), client_token }))
    }
}

macro_rules! writes {
    ($($operation:ident: $service:ident { $($field:ident: $type:ty),* $(,)? })*) => {
        /// A call that changes or removes something, named as its operation, with the operation's
        /// own parameters.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each is the operation, and has the parameters, of its name")]
        pub enum Write {
            $($operation { $($field: $type),* },)*
        }

        impl Write {
            /// The operation's name in the API.
            #[must_use]
            pub fn operation(&self) -> &'static str {
                match self { $(Self::$operation { .. } => stringify!($operation),)* }
            }

            /// The service that takes it.
            #[must_use]
            pub fn service(&self) -> Service {
                match self { $(Self::$operation { .. } => Service::$service,)* }
            }
        }

        impl From<Write> for Call {
            fn from(write: Write) -> Self {
                Self::Write(write)
            }
        }
    };
}

writes! {
    CreateTags: Ec2 { resources: Vec<String>, tags: Vec<Tag> }
    DeleteTags: Ec2 { resources: Vec<String>, tag_keys: Vec<String> }
    DeleteVpc: Ec2 { vpc_id: VpcId }
    DeleteSubnet: Ec2 { subnet_id: SubnetId }
    DetachInternetGateway: Ec2 { internet_gateway_id: InternetGatewayId, vpc_id: VpcId }
    DeleteInternetGateway: Ec2 { internet_gateway_id: InternetGatewayId }
    DeleteRouteTable: Ec2 { route_table_id: RouteTableId }
    ReplaceRoute: Ec2 {
        route_table_id: RouteTableId,
        destination_cidr_block: Ipv4Net,
        gateway_id: InternetGatewayId,
    }
    DeleteRoute: Ec2 { route_table_id: RouteTableId, destination_cidr_block: Ipv4Net }
    ReplaceRouteTableAssociation: Ec2 { association_id: String, route_table_id: RouteTableId }
    DisassociateRouteTable: Ec2 { association_id: String }
    DeleteSecurityGroup: Ec2 { group_id: GroupId }
    RevokeSecurityGroupIngress: Ec2 { group_id: GroupId, security_group_rule_ids: Vec<String> }
    RevokeSecurityGroupEgress: Ec2 { group_id: GroupId, security_group_rule_ids: Vec<String> }
    ModifyNetworkInterfaceAttribute: Ec2 {
        network_interface_id: InterfaceId,
        attribute: InterfaceAttribute,
    }
    DeleteNetworkInterface: Ec2 { network_interface_id: InterfaceId }
    DisassociateAddress: Ec2 { association_id: String }
    ReleaseAddress: Ec2 { allocation_id: AddressId }
    ModifyVolume: Ec2 { volume_id: VolumeId, size: u32, volume_type: String }
    DetachVolume: Ec2 { volume_id: VolumeId }
    DeleteVolume: Ec2 { volume_id: VolumeId }
    DeleteLaunchTemplate: Ec2 { launch_template_id: String }
    ModifyInstanceAttribute: Ec2 { instance_id: InstanceId, disable_api_termination: bool }
    StopInstances: Ec2 { instance_ids: Vec<InstanceId> }
    StartInstances: Ec2 { instance_ids: Vec<InstanceId> }
    TerminateInstances: Ec2 { instance_ids: Vec<InstanceId> }
    UpdateAutoScalingGroup: AutoScaling { group: Box<CreateAutoScalingGroup> }
    CreateOrUpdateTags: AutoScaling { auto_scaling_group_name: String, tags: Vec<AutoScalingTag> }
    StartInstanceRefresh: AutoScaling { auto_scaling_group_name: String }
    DetachLoadBalancerTargetGroups: AutoScaling {
        auto_scaling_group_name: String,
        target_group_arns: Vec<String>,
    }
    DeleteAutoScalingGroup: AutoScaling { auto_scaling_group_name: String, force_delete: bool }
    AddTags: ElasticLoadBalancing { resource_arns: Vec<String>, tags: Vec<Tag> }
    RemoveTags: ElasticLoadBalancing { resource_arns: Vec<String>, tag_keys: Vec<String> }
    SetSubnets: ElasticLoadBalancing { load_balancer_arn: String, subnets: Vec<SubnetId> }
    SetSecurityGroups: ElasticLoadBalancing {
        load_balancer_arn: String,
        security_groups: Vec<GroupId>,
    }
    DeleteLoadBalancer: ElasticLoadBalancing { load_balancer_arn: String }
    ModifyTargetGroup: ElasticLoadBalancing {
        target_group_arn: String,
        health_check: Box<CreateTargetGroup>,
    }
    DeleteTargetGroup: ElasticLoadBalancing { target_group_arn: String }
    ModifyListener: ElasticLoadBalancing {
        listener_arn: String,
        port: u16,
        protocol: String,
        default_actions: Vec<Action>,
    }
    DeleteListener: ElasticLoadBalancing { listener_arn: String }
    DeregisterTargets: ElasticLoadBalancing {
        target_group_arn: String,
        targets: Vec<TargetDescription>,
    }
    AddTagsToResource: Ssm { resource_id: String, tags: Vec<Tag> }
    DeleteParameter: Ssm { name: String }
    PutObject: S3 {
        bucket: String,
        key: String,
        body: Vec<u8>,
        server_side_encryption: String,
        tagging: Vec<Tag>,
    }
    DeleteObject: S3 { bucket: String, key: String }
}

/// What is changed about a network interface: one thing with each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceAttribute {
    /// What it is for.
    Description(String),
    /// Its security groups.
    Groups(Vec<GroupId>),
}

/// Which things to tell of. Filters are those of the operation's own `Filters`, but for
/// `launch-template-id`, which stands for the parameter `LaunchTemplateIds`, and for `LaunchTemplateId`
/// where it is about versions. Elastic Load
/// Balancing has none; there `load-balancer-arn` and `target-group-arn` stand for its parameters of
/// these names, and so does `auto-scaling-group-name` in Auto Scaling, and
/// `bucket` and `prefix` in S3. Of launch templates the default
/// versions are told. In Route 53 `hosted-zone-id` stands for the parameter of this name, and
/// `start-record-name` for the one that says from which name on records are told; a client makes one
/// token of all that says where the next page begins. In Parameter Store filters are those of
/// `ParameterFilters`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// All of them have to match.
    pub filters: Vec<Filter>,
    /// Where the page before ended (`NextToken`, or `Marker`).
    pub next_token: Option<String>,
}

/// A filter: one of the values has to be the thing's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Its name, such as `vpc-id` or `tag:Name`.
    pub name: String,
    /// The values, at most 200.
    pub values: Vec<String>,
}

impl Filter {
    /// A filter.
    pub fn new<V: Into<String>>(
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Self { name: name.into(), values: values.into_iter().map(Into::into).collect() }
    }
}

/// Some of the things that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The things.
    pub items: Vec<T>,
    /// Where the next page begins; this is the last one where it is `None`.
    pub next_token: Option<String>,
}

/// Something that a describing operation tells of.
pub trait Described: Sized + Send + Sync {
    /// The filter for its id.
    const ID_FILTER: &'static str;

    /// The operation that tells of it.
    fn read(query: Query) -> Read;

    /// What that operation answers.
    fn page(answer: Answer) -> Option<Page<Self>>;
}

macro_rules! reads {
    ($($operation:ident: $service:ident, $type:ident, $id:literal;)*) => {
        /// A call that tells what stands.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the operation of its name")]
        pub enum Read {
            $($operation(Query),)*
            /// Of at most 20 things of Elastic Load Balancing.
            DescribeTags { resource_arns: Vec<String> },
            DescribeLoadBalancerAttributes { load_balancer_arn: String },
            DescribeTargetGroupAttributes { target_group_arn: String },
            /// The state of a machine's status checks. Whoever is asked for machines looks at that of
            /// those that run as well.
            DescribeInstanceStatus { instance_id: InstanceId },
            /// The state of a group's newest refresh.
            DescribeInstanceRefreshes { auto_scaling_group_name: String },
            /// The state of a change of records: `PENDING`, or `INSYNC`.
            GetChange { id: String },
            /// The tags of a parameter, by its name.
            ListTagsForResource { resource_id: String },
            /// The tags of an object; that it is gone is `NoSuchKey`.
            GetObjectTagging { bucket: String, key: String },
        }

        impl Read {
            /// The operation's name in the API.
            #[must_use]
            pub fn operation(&self) -> &'static str {
                match self {
                    $(Self::$operation(_) => stringify!($operation),)*
                    Self::DescribeTags { .. } => "DescribeTags",
                    Self::DescribeLoadBalancerAttributes { .. } => "DescribeLoadBalancerAttributes",
                    Self::DescribeTargetGroupAttributes { .. } => "DescribeTargetGroupAttributes",
                    Self::DescribeInstanceStatus { .. } => "DescribeInstanceStatus",
                    Self::DescribeInstanceRefreshes { .. } => "DescribeInstanceRefreshes",
                    Self::GetChange { .. } => "GetChange",
                    Self::ListTagsForResource { .. } => "ListTagsForResource",
                    Self::GetObjectTagging { .. } => "GetObjectTagging",
                }
            }

            /// Which things are to be told, where that can be said.
            #[must_use]
            pub fn query(&self) -> Option<&Query> {
                match self {
                    $(Self::$operation(query) => Some(query),)*
                    _ => None,
                }
            }

            /// The same operation about other things.
            #[must_use]
            pub fn with(&self, query: Query) -> Option<Self> {
                match self {
                    $(Self::$operation(_) => Some(Self::$operation(query)),)*
                    _ => None,
                }
            }

            /// The service that takes it.
            #[must_use]
            pub fn service(&self) -> Service {
                match self {
                    $(Self::$operation(_) => Service::$service,)*
                    Self::DescribeTags { .. }
                    | Self::DescribeLoadBalancerAttributes { .. }
                    | Self::DescribeTargetGroupAttributes { .. } => Service::ElasticLoadBalancing,
                    Self::DescribeInstanceStatus { .. } => Service::Ec2,
                    Self::DescribeInstanceRefreshes { .. } => Service::AutoScaling,
                    Self::GetChange { .. } => Service::Route53,
                    Self::ListTagsForResource { .. } => Service::Ssm,
                    Self::GetObjectTagging { .. } => Service::S3,
                }
            }
        }

        impl From<Read> for Call {
            fn from(read: Read) -> Self {
                Self::Read(read)
            }
        }

        /// What a call gives.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is a page of what its name says")]
        pub enum Answer {
            /// It is done, and there is nothing to tell.
            Done,
            /// The id, Amazon resource name or name of what was made; of records the id of the change,
            /// of a parameter its version.
            Made(String),
            /// Tags by Amazon resource name, or by the name of a parameter or the key of an object.
            Tags(Vec<(String, Vec<Tag>)>),
            /// Keys and values.
            Attributes(Vec<crate::request::Attribute>),
            /// A state, such as `InProgress`, where there is one.
            State(Option<String>),
            $($type(Page<$type>),)*
        }

        $(impl Described for $type {
            const ID_FILTER: &'static str = $id;

            fn read(query: Query) -> Read {
                Read::$operation(query)
            }

            fn page(answer: Answer) -> Option<Page<Self>> {
                match answer {
                    Answer::$type(page) => Some(page),
                    _ => None,
                }
            }
        })*
    };
}

reads! {
    DescribeVpcs: Ec2, Vpc, "vpc-id";
    DescribeSubnets: Ec2, Subnet, "subnet-id";
    DescribeInternetGateways: Ec2, InternetGateway, "internet-gateway-id";
    DescribeRouteTables: Ec2, RouteTable, "route-table-id";
    DescribeSecurityGroups: Ec2, SecurityGroup, "group-id";
    DescribeSecurityGroupRules: Ec2, SecurityGroupRule, "security-group-rule-id";
    DescribeNetworkInterfaces: Ec2, NetworkInterface, "network-interface-id";
    DescribeAddresses: Ec2, Address, "allocation-id";
    DescribeVolumes: Ec2, Volume, "volume-id";
    DescribeLaunchTemplates: Ec2, LaunchTemplate, "launch-template-id";
    DescribeLaunchTemplateVersions: Ec2, LaunchTemplateVersion, "launch-template-id";
    DescribeInstances: Ec2, Instance, "instance-id";
    DescribeAutoScalingGroups: AutoScaling, AutoScalingGroup, "auto-scaling-group-name";
    DescribeLoadBalancers: ElasticLoadBalancing, LoadBalancer, "load-balancer-arn";
    DescribeTargetGroups: ElasticLoadBalancing, TargetGroup, "target-group-arn";
    DescribeListeners: ElasticLoadBalancing, Listener, "listener-arn";
    DescribeTargetHealth: ElasticLoadBalancing, TargetHealth, "target-id";
    ListResourceRecordSets: Route53, ResourceRecordSet, "start-record-name";
    DescribeParameters: Ssm, Parameter, "Name";
    ListObjectsV2: S3, Object, "key";
}

/// Tells why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}{}", .request_id.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
pub struct CallError {
    /// AWS's own code, such as `Throttling`; [`CallError::NO_ANSWER`] where there was no answer.
    pub code: String,
    /// What AWS says of it.
    pub message: String,
    /// By which AWS knows the call.
    pub request_id: Option<String>,
    /// Whether it may have been carried out all the same: a time-out, a connection that was cut,
    /// an error on AWS's side.
    pub maybe_done: bool,
}

impl CallError {
    /// The code of an error that AWS did not give: it did not answer.
    pub const NO_ANSWER: &'static str = "NoAnswer";
    /// Nothing was sent, since nobody could be reached.
    pub const NO_CONNECTION: &'static str = "NoConnection";
    /// Nothing was sent, since the endpoint of the region has no address.
    pub const NO_ENDPOINT: &'static str = "NoEndpoint";
    /// Nothing was sent, since nobody says to which region.
    pub const NO_REGION: &'static str = "NoRegion";
    /// Nothing was sent, since nobody says on whose account.
    pub const NO_CREDENTIALS: &'static str = "NoCredentials";
    /// Nothing was sent, since AWS's configuration on this side cannot be read.
    pub const BAD_CONFIGURATION: &'static str = "BadConfiguration";
    /// What AWS tells has another shape than its API reference says.
    pub const UNREADABLE: &'static str = "UnreadableAnswer";

    /// The code by which Amazon EC2 says that it would do what was asked (API Reference, "Common
    /// parameters", `DryRun`).
    pub const WOULD_BE_DONE: &'static str = "DryRunOperation";

    /// What AWS refuses, so nothing was done.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), request_id: None, maybe_done: false }
    }

    /// AWS tells something that has another shape than its API reference says.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::refused(Self::UNREADABLE, message)
    }

    /// There was no answer, so nobody knows.
    pub fn no_answer(message: impl Into<String>) -> Self {
        let code = Self::NO_ANSWER.to_owned();
        Self { code, message: message.into(), request_id: None, maybe_done: true }
    }
}
