//! [`Read`]: calls that tell what stands, and [`Answer`]: what comes of any call.

use super::Call;
use crate::{
    engine::shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate,
        LaunchTemplateVersion, Listener, LoadBalancer, NetworkInterface, Object, Parameter,
        RouteTable, SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, TargetHealth, Volume,
        Vpc,
    },
    request::{Attribute, InstanceId, ResourceRecordSet, Service, Tag},
};

/// Which things to tell of. Filters are those of the operation's own `Filters`, but for
/// `launch-template-id`, which stands for the parameter `LaunchTemplateIds`, and for `LaunchTemplateId`
/// where it is about versions. Elastic Load
/// Balancing has none; there `load-balancer-arn` and `target-group-arn` stand for its parameters of
/// these names, and so does `auto-scaling-group-name` in Auto Scaling, and
/// `bucket` and `prefix` in S3. Of launch templates the first
/// versions are told, from which machines are started. In Route 53 `hosted-zone-id` stands for the parameter of this name, and
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
    /// The values, at most [`Filter::VALUES`].
    pub values: Vec<String>,
}

impl Filter {
    /// So many values go into one filter: `DescribeAutoScalingGroups` takes 100 names, with pages as
    /// large as it has (Amazon EC2 Auto Scaling API Reference); Amazon EC2 would take 200 values
    /// (Amazon EC2 API Reference, "Filter").
    pub const VALUES: usize = 100;

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
            /// The attribute [`Attribute::PROTECTED`] of a machine.
            DescribeInstanceAttribute { instance_id: InstanceId },
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
                    Self::DescribeInstanceAttribute { .. } => "DescribeInstanceAttribute",
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
                    Self::DescribeInstanceStatus { .. }
                    | Self::DescribeInstanceAttribute { .. } => Service::Ec2,
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
            Attributes(Vec<Attribute>),
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
