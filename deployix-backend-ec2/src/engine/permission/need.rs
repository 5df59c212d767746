//! What the steps of each operation call beside the request itself.
//!
//! The one table of it, which the compiler holds complete by operation; that it is complete by call is
//! held by recording what a deploy, a change and a destroy really call.

use deployix_core::backend::Action;
use ipnet::Ipv4Net;

use super::placeholder::{ASSOCIATION, Ids, TEMPLATE};
use crate::{
    engine::{
        call::{Call, InterfaceAttribute, Query, Read, Write},
        error::action_of,
    },
    naming::DEPLOYMENT,
    request::{LaunchTemplateRef, Operation, Request, RunInstances, Service, Tag},
};

/// Something that whoever deploys has to be allowed.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// A call of EC2, which can be asked.
    Asked(Box<Call>),
    /// An action of another service, which cannot.
    Listed(String),
}

/// A request, with a token under which nothing is ever made.
pub(super) fn dry(request: impl Into<Request>) -> Call {
    let request: Request = request.into();
    let client_token = request.takes_token().then(|| "dry-run".to_owned());
    Call::Create { request: Box::new(request), client_token }
}

/// When something is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Whatever is done: it is looked at before.
    Always,
    /// Something is made, or made sure of.
    Made,
    /// Something that stands is changed, or what takes its place is made.
    Changed,
    /// Something goes.
    Removed,
}

impl When {
    /// What an action comes with.
    pub(super) fn of(action: &Action<'_>) -> &'static [Self] {
        match action {
            Action::Create => &[Self::Always, Self::Made],
            Action::Update { .. } => &[Self::Always, Self::Made, Self::Changed],
            Action::Replace { .. } => &[Self::Always, Self::Made, Self::Changed, Self::Removed],
            Action::Remove => &[Self::Always, Self::Removed],
        }
    }
}

/// What an operation needs, and when.
#[derive(Debug, Default)]
pub(super) struct Needs(Vec<(When, Need)>);

impl Needs {
    /// What is needed at some times.
    pub(super) fn at(self, times: &[When]) -> impl Iterator<Item = Need> {
        self.0.into_iter().filter(|(when, _)| times.contains(when)).map(|(_, need)| need)
    }

    fn ask(mut self, when: When, call: impl Into<Call>) -> Self {
        self.0.push((when, Need::Asked(Box::new(call.into()))));
        self
    }

    fn list(mut self, when: When, service: Service, operations: &[&str]) -> Self {
        let needs = operations.iter().map(|it| (when, Need::Listed(action_of(service, it))));
        self.0.extend(needs);
        self
    }

    /// What is made gets tags.
    fn tagged(self, ids: &Ids) -> Self {
        let tags = vec![Tag::new(DEPLOYMENT, "x")];
        self.ask(When::Made, Write::CreateTags { resources: vec![ids.vpc.to_string()], tags })
    }

    /// What is a part of something else is noted in a tag of that.
    fn noted(self, ids: &Ids) -> Self {
        self.tagged(ids).ask(When::Removed, untag(ids))
    }

    /// Interfaces that load balancers leave behind may hold it.
    fn held(self) -> Self {
        self.ask(When::Removed, Read::DescribeNetworkInterfaces(Query::default())).list(
            When::Removed,
            Service::ElasticLoadBalancing,
            &["DescribeLoadBalancers"],
        )
    }

    /// A disk is taken from its machine.
    fn detached(self, when: When, ids: &Ids) -> Self {
        self.ask(when, Read::DescribeInstances(Query::default()))
            .ask(when, Read::DescribeInstanceStatus { instance_id: ids.instance.clone() })
            .ask(when, Write::StopInstances { instance_ids: vec![ids.instance.clone()] })
            .ask(when, Write::DetachVolume { volume_id: ids.volume.clone() })
    }

    /// The first of its kind in an account has AWS make the role of the service (Elastic Load Balancing
    /// User Guide, "Service-linked role"; Amazon EC2 Auto Scaling User Guide, "Service-linked roles"),
    /// which whoever makes it has to be allowed.
    fn of_service(mut self) -> Self {
        let action = "iam:CreateServiceLinkedRole".to_owned();
        self.0.push((When::Made, Need::Listed(action)));
        self
    }

    /// What is started from a launch template removes those that came before.
    fn of_template(self) -> Self {
        let launch_template_id = TEMPLATE.to_owned();
        self.ask(When::Made, Read::DescribeLaunchTemplates(Query::default()))
            .ask(When::Changed, Write::DeleteLaunchTemplate { launch_template_id })
    }
}

/// What the steps of an operation need.
pub(super) fn needs(operation: Operation, ids: &Ids) -> Needs {
    use Service::{AutoScaling, ElasticLoadBalancing, Route53, S3, Ssm};
    use When::{Always, Changed, Made, Removed};

    let needs = Needs::default();
    let all = Query::default;
    let (group_id, route_table_id) = (ids.group.clone(), ids.table.clone());
    let (instance_id, volume_id) = (ids.instance.clone(), ids.volume.clone());
    let (vpc_id, internet_gateway_id) = (ids.vpc.clone(), ids.gateway.clone());
    let (association_id, destination_cidr_block) = (ASSOCIATION.to_owned(), Ipv4Net::default());
    match operation {
        Operation::CreateVpc => needs
            .ask(Always, Read::DescribeVpcs(all()))
            .tagged(ids)
            .ask(Removed, Write::DeleteVpc { vpc_id }),
        Operation::CreateSubnet => needs
            .ask(Always, Read::DescribeSubnets(all()))
            .tagged(ids)
            .held()
            .ask(Removed, Write::DeleteSubnet { subnet_id: ids.subnet.clone() }),
        Operation::CreateInternetGateway => needs
            .ask(Always, Read::DescribeInternetGateways(all()))
            .tagged(ids)
            .held()
            .ask(Removed, ids.detach_gateway())
            .ask(Removed, Write::DeleteInternetGateway { internet_gateway_id }),
        Operation::AttachInternetGateway => needs
            .ask(Always, Read::DescribeInternetGateways(all()))
            .noted(ids)
            .held()
            .ask(Changed, ids.detach_gateway())
            .ask(Removed, ids.detach_gateway()),
        Operation::CreateRouteTable => needs
            .ask(Always, Read::DescribeRouteTables(all()))
            .tagged(ids)
            .ask(Removed, Write::DeleteRouteTable { route_table_id }),
        Operation::CreateRoute => {
            let gateway_id = internet_gateway_id;
            let removed =
                Write::DeleteRoute { route_table_id: ids.table.clone(), destination_cidr_block };
            needs
                .ask(Always, Read::DescribeRouteTables(all()))
                .noted(ids)
                .ask(
                    Changed,
                    Write::ReplaceRoute { route_table_id, destination_cidr_block, gateway_id },
                )
                .ask(Removed, removed)
        }
        Operation::AssociateRouteTable => {
            let removed = Write::DisassociateRouteTable { association_id: association_id.clone() };
            needs
                .ask(Always, Read::DescribeRouteTables(all()))
                .ask(Always, Read::DescribeSubnets(all()))
                .noted(ids)
                .ask(
                    Changed,
                    Write::ReplaceRouteTableAssociation { association_id, route_table_id },
                )
                .ask(Removed, removed)
        }
        // What somebody opened by hand is closed.
        Operation::CreateSecurityGroup => needs
            .ask(Always, Read::DescribeSecurityGroups(all()))
            .ask(Always, Read::DescribeSecurityGroupRules(all()))
            .tagged(ids)
            .ask(Changed, ids.revoke_ingress())
            .ask(Changed, ids.revoke_egress())
            .held()
            .ask(Removed, Write::DeleteSecurityGroup { group_id }),
        Operation::RevokeSecurityGroupEgress => needs
            .ask(Always, Read::DescribeSecurityGroups(all()))
            .ask(Always, Read::DescribeSecurityGroupRules(all()))
            .noted(ids)
            .ask(Made, ids.revoke_egress()),
        Operation::AuthorizeSecurityGroupIngress => needs
            .ask(Always, Read::DescribeSecurityGroupRules(all()))
            .tagged(ids)
            .ask(Removed, ids.revoke_ingress()),
        Operation::AuthorizeSecurityGroupEgress => needs
            .ask(Always, Read::DescribeSecurityGroupRules(all()))
            .tagged(ids)
            .ask(Removed, ids.revoke_egress()),
        Operation::RenderUserData => needs,
        Operation::StageUserData => needs
            .list(Always, S3, &["ListObjectsV2", "GetObjectTagging"])
            .list(Made, S3, &["PutObject", "PutObjectTagging"])
            .list(Removed, S3, &["DeleteObject"]),
        Operation::CreateNetworkInterface => {
            let network_interface_id = ids.interface.clone();
            let attribute = InterfaceAttribute::Description(String::new());
            let changed =
                Write::ModifyNetworkInterfaceAttribute { network_interface_id, attribute };
            let network_interface_id = ids.interface.clone();
            needs
                .ask(Always, Read::DescribeNetworkInterfaces(all()))
                .tagged(ids)
                .ask(Changed, changed)
                .ask(Removed, Write::DeleteNetworkInterface { network_interface_id })
        }
        Operation::AllocateAddress => needs
            .ask(Always, Read::DescribeAddresses(all()))
            .tagged(ids)
            .ask(Removed, Write::DisassociateAddress { association_id })
            .ask(Removed, Write::ReleaseAddress { allocation_id: ids.address.clone() }),
        Operation::AssociateAddress => needs
            .ask(Always, Read::DescribeAddresses(all()))
            .ask(Made, Read::DescribeInstances(all()))
            .noted(ids)
            .ask(Removed, Write::DisassociateAddress { association_id }),
        Operation::CreateVolume => {
            let removed = Write::DeleteVolume { volume_id: ids.volume.clone() };
            let volume_type = "gp3".to_owned();
            needs
                .ask(Always, Read::DescribeVolumes(all()))
                .tagged(ids)
                .ask(Changed, Write::ModifyVolume { volume_id, size: 1, volume_type })
                .detached(Removed, ids)
                .ask(Removed, removed)
        }
        Operation::AttachVolume => needs
            .ask(Always, Read::DescribeVolumes(all()))
            .noted(ids)
            .ask(Made, Read::DescribeInstances(all()))
            .ask(Made, Read::DescribeInstanceStatus { instance_id: ids.instance.clone() })
            .ask(Made, Write::StartInstances { instance_ids: vec![ids.instance.clone()] })
            .detached(Changed, ids)
            .detached(Removed, ids),
        Operation::CreateLaunchTemplate => {
            let launch_template_id = TEMPLATE.to_owned();
            let default_version = LaunchTemplateRef::VERSION.to_string();
            let changed = Write::ModifyLaunchTemplate {
                launch_template_id: launch_template_id.clone(),
                default_version,
            };
            needs
                .ask(Always, Read::DescribeLaunchTemplates(all()))
                .ask(Always, Read::DescribeLaunchTemplateVersions(all()))
                .tagged(ids)
                .ask(Changed, changed)
                .ask(Removed, Write::DeleteLaunchTemplate { launch_template_id })
        }
        Operation::RunInstances => {
            let instance_ids = || vec![ids.instance.clone()];
            let protected = |disable_api_termination| Write::ModifyInstanceAttribute {
                instance_id: ids.instance.clone(),
                disable_api_termination,
            };
            let leaves = [
                "DescribeTargetGroups",
                "DescribeTags",
                "DescribeTargetHealth",
                "DeregisterTargets",
            ];
            needs
                .ask(Always, Read::DescribeInstances(all()))
                .ask(Always, Read::DescribeInstanceStatus { instance_id: ids.instance.clone() })
                .ask(Always, Read::DescribeInstanceAttribute { instance_id })
                .tagged(ids)
                .of_template()
                .ask(Changed, Write::StartInstances { instance_ids: instance_ids() })
                .ask(Changed, untag(ids))
                .ask(Changed, Read::DescribeLaunchTemplateVersions(all()))
                .ask(Changed, protected(true))
                .ask(Changed, Read::DescribeAddresses(all()))
                .ask(Changed, dry(ids.associate_address()))
                .list(Removed, ElasticLoadBalancing, &leaves)
                .ask(Removed, protected(false))
                .ask(Removed, Write::TerminateInstances { instance_ids: instance_ids() })
        }
        Operation::CreateAutoScalingGroup => needs
            .list(Always, AutoScaling, &["DescribeAutoScalingGroups"])
            .list(Made, AutoScaling, &["CreateOrUpdateTags"])
            .of_service()
            .ask(Made, a_machine())
            .ask(Made, Read::DescribeNetworkInterfaces(all()))
            .of_template()
            .list(
                Changed,
                AutoScaling,
                &["UpdateAutoScalingGroup", "StartInstanceRefresh", "DescribeInstanceRefreshes"],
            )
            .list(Removed, AutoScaling, &["DeleteAutoScalingGroup"]),
        Operation::AttachLoadBalancerTargetGroups => needs
            .list(Always, AutoScaling, &["DescribeAutoScalingGroups"])
            .list(
                Always,
                ElasticLoadBalancing,
                &["DescribeTargetGroups", "DescribeTags", "DescribeTargetHealth"],
            )
            .list(Made, ElasticLoadBalancing, &["AddTags"])
            .list(Removed, AutoScaling, &["DetachLoadBalancerTargetGroups"])
            .list(Removed, ElasticLoadBalancing, &["DeregisterTargets", "RemoveTags"]),
        Operation::CreateLoadBalancer => needs
            .list(Always, ElasticLoadBalancing, &["DescribeLoadBalancers", "DescribeTags"])
            .ask(Always, Read::DescribeNetworkInterfaces(all()))
            .list(Made, ElasticLoadBalancing, &["AddTags"])
            .of_service()
            .list(
                Changed,
                ElasticLoadBalancing,
                &["SetSubnets", "SetSecurityGroups", "DescribeListeners", "DeleteListener"],
            )
            .list(Removed, ElasticLoadBalancing, &["DeleteLoadBalancer"]),
        Operation::ModifyLoadBalancerAttributes => needs
            .list(
                Always,
                ElasticLoadBalancing,
                &["DescribeLoadBalancers", "DescribeTags", "DescribeLoadBalancerAttributes"],
            )
            .list(Made, ElasticLoadBalancing, &["AddTags"])
            .list(Removed, ElasticLoadBalancing, &["RemoveTags"]),
        Operation::CreateTargetGroup => needs
            .list(Always, ElasticLoadBalancing, &["DescribeTargetGroups", "DescribeTags"])
            .list(Made, ElasticLoadBalancing, &["AddTags"])
            .list(Changed, ElasticLoadBalancing, &["ModifyTargetGroup"])
            .list(Removed, ElasticLoadBalancing, &["DeleteTargetGroup"]),
        Operation::ModifyTargetGroupAttributes => needs
            .list(
                Always,
                ElasticLoadBalancing,
                &["DescribeTargetGroups", "DescribeTags", "DescribeTargetGroupAttributes"],
            )
            .list(Made, ElasticLoadBalancing, &["AddTags"])
            .list(Removed, ElasticLoadBalancing, &["RemoveTags"]),
        // What it was before goes with it: its load balancer, and the groups that it led to.
        Operation::CreateListener => {
            let found = [
                "DescribeListeners",
                "DescribeLoadBalancers",
                "DescribeTags",
                "DescribeTargetGroups",
                "DescribeTargetHealth",
            ];
            let removed = ["DeleteListener", "DeleteLoadBalancer", "DeleteTargetGroup"];
            needs
                .list(Always, ElasticLoadBalancing, &found)
                .ask(Always, Read::DescribeNetworkInterfaces(all()))
                .list(Made, ElasticLoadBalancing, &["AddTags"])
                .list(Changed, ElasticLoadBalancing, &["ModifyListener"])
                .list(Changed, ElasticLoadBalancing, &removed)
                .list(Removed, ElasticLoadBalancing, &removed)
        }
        Operation::RegisterTargets => needs
            .list(
                Always,
                ElasticLoadBalancing,
                &["DescribeTargetGroups", "DescribeTags", "DescribeTargetHealth"],
            )
            .ask(Always, Read::DescribeNetworkInterfaces(all()))
            .noted(ids)
            .ask(Removed, Read::DescribeInstances(all()))
            .list(Removed, ElasticLoadBalancing, &["DeregisterTargets"]),
        // Records go by the same operation.
        Operation::ChangeResourceRecordSets => needs
            .list(Always, Route53, &["ListResourceRecordSets", "GetChange"])
            .list(Removed, Route53, &["ChangeResourceRecordSets"]),
        Operation::PutParameter => needs
            .list(Always, Ssm, &["DescribeParameters", "ListTagsForResource"])
            .list(Made, Ssm, &["AddTagsToResource"])
            .list(Removed, Ssm, &["DeleteParameter"]),
    }
}

fn untag(ids: &Ids) -> Write {
    let (resources, tag_keys) = (vec![ids.vpc.to_string()], vec![DEPLOYMENT.to_owned()]);
    Write::DeleteTags { resources, tag_keys }
}

/// A machine from a launch template that is nobody's: whoever gives one to an autoscaling group has to be
/// allowed to start machines from it (Amazon EC2 Auto Scaling User Guide, "Control Amazon EC2 launch
/// template usage in Auto Scaling groups").
fn a_machine() -> Call {
    let launch_template =
        LaunchTemplateRef { launch_template_name: TEMPLATE.to_owned(), version: "1".to_owned() };
    dry(RunInstances {
        launch_template,
        min_count: 1,
        max_count: 1,
        network_interfaces: Vec::new(),
        tag_specifications: Vec::new(),
    })
}
