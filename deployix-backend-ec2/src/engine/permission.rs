//! What whoever deploys may not do: asked of AWS beforehand, by its own `DryRun`.
//!
//! EC2's operations take it, and then do nothing but tell whether they might (Amazon EC2 API Reference,
//! `DryRunOperation`). Auto Scaling, Elastic Load Balancing and the others have no such thing, so what is
//! needed of them is listed alone. Each operation is asked about once in each region; ids that are not
//! known yet are placeholders, since AWS looks at permissions before it looks for what is named, and what
//! it says of a placeholder is no denial. A policy for some things alone may so be taken for one for all.

use std::collections::BTreeSet;

use deployix_core::backend::{
    Action, BackendError, ErrorKind, Input, Inputs, OutputRef, Permissions, Step,
};
use ipnet::Ipv4Net;

use super::{
    call::{Aws, Call, CallError, InterfaceAttribute, Query, Read, Write},
    caller::Caller,
    error::{action, is_unauthorized, meaning},
    region,
};
use crate::{
    naming::DEPLOYMENT,
    request::{
        AddressId, GroupId, IdError, InstanceId, InterfaceId, InternetGatewayId, Output, PrivateIp,
        PublicCidr, PublicIp, Request, RouteTableId, Service, SubnetId, Tag, UserDataText,
        VolumeId, VpcId, ZoneName,
    },
    resource::{self, OPERATION, REGION},
};

/// Asks about all steps at once.
pub(crate) async fn permissions(
    aws: &dyn Aws,
    steps: &[Step<'_>],
) -> Result<Permissions, BackendError> {
    let mut permissions = Permissions::default();
    let mut asked = BTreeSet::new();
    for step in steps {
        let region = match step.resource.inputs().get(REGION) {
            Some(Input::Text(region)) => Some(region.clone()),
            _ => region(&step.site),
        };
        let caller = Caller::new(aws, region.clone());
        if passes_role(step) {
            permissions.unasked.insert("iam:PassRole".to_owned());
        }
        for call in calls(step)? {
            let name = action(&call, "");
            if !asked.insert((region.clone(), name.clone())) {
                continue;
            }
            match call.service() {
                Service::Ec2 => permissions.denied.extend(denied(&caller, call).await?),
                Service::Local => {}
                _ => {
                    permissions.unasked.insert(name);
                }
            }
        }
    }
    Ok(permissions)
}

/// The action that is denied, if it is.
async fn denied(caller: &Caller<'_>, call: Call) -> Result<Option<String>, BackendError> {
    let call = Call::DryRun(Box::new(call));
    let Err(error) = caller.call(&call).await else { return Ok(None) };
    if error.code == CallError::WOULD_BE_DONE {
        return Ok(None);
    }
    if is_unauthorized(&error) {
        return Ok(Some(action(&call, &error.message)));
    }
    let is_about_what_is_named =
        error.code.contains("NotFound") || error.code.contains("Malformed");
    let meaning = meaning(&call, error);
    match meaning.kind() {
        _ if is_about_what_is_named => Ok(None),
        // A quota, a name that is taken, something that is in use: it was let through to that.
        ErrorKind::Conflict => Ok(None),
        _ => Err(meaning),
    }
}

/// What a step calls, as far as that is known before: what finds, makes, changes and removes.
fn calls(step: &Step<'_>) -> Result<Vec<Call>, BackendError> {
    let Some(Input::Text(operation)) = step.resource.inputs().get(OPERATION) else {
        return Ok(Vec::new());
    };
    let mut calls: Vec<Call> = read(operation).map(Call::from).into_iter().collect();
    let (makes, changes, removes) = match step.action {
        Action::Create => (true, false, false),
        Action::Update { .. } => (true, true, false),
        Action::Replace { .. } => (true, true, true),
        Action::Remove => (false, false, true),
    };
    // Records go by the same operation.
    if makes || operation == "ChangeResourceRecordSets" {
        let request = resource::request(&filled(step.resource.inputs())?)
            .map_err(|error| BackendError::unreadable(&error.to_string()))?;
        match request {
            // It is looked at which rules there are, and those that go are named.
            Request::RevokeSecurityGroupEgress(_) => {}
            request => {
                let client_token = request.takes_token().then(|| "dry-run".to_owned());
                calls.push(Call::Create { request: Box::new(request), client_token });
            }
        }
    }
    let ids = Ids::new()?;
    let writes = [
        (makes, ids.making(operation)),
        (changes, ids.changing(operation)),
        (removes, ids.removing(operation)),
    ];
    for (_, writes) in writes.into_iter().filter(|(is_done, _)| *is_done) {
        calls.extend(writes.into_iter().map(Call::from));
    }
    Ok(calls)
}

/// Whether a step gives a machine a role, which `iam:PassRole` has to allow.
fn passes_role(step: &Step<'_>) -> bool {
    let Some(Input::Map(data)) = step.resource.inputs().get("LaunchTemplateData") else {
        return false;
    };
    !matches!(step.action, Action::Remove) && data.contains_key("IamInstanceProfile")
}

/// The settings with something of the right form in place of each output.
fn filled(inputs: &Inputs) -> Result<Inputs, BackendError> {
    let value = |output: &OutputRef| Some(placeholder(&output.output));
    let filled = inputs.iter().map(|(key, input)| {
        let input = input.filled(&value).map_err(|output| {
            BackendError::unreadable(&format!("nothing stands for {}", output.output))
        })?;
        Ok((key.clone(), input))
    });
    filled.collect()
}

/// Something of the form of an output, which is nobody's.
fn placeholder(output: &str) -> String {
    let id = |prefix: &str| format!("{prefix}-00000000000000000");
    match output {
        VpcId::NAME => id("vpc"),
        SubnetId::NAME => id("subnet"),
        InternetGatewayId::NAME => id("igw"),
        RouteTableId::NAME => id("rtb"),
        GroupId::NAME => id("sg"),
        InterfaceId::NAME => id("eni"),
        AddressId::NAME => id("eipalloc"),
        VolumeId::NAME => id("vol"),
        InstanceId::NAME => id("i"),
        // Addresses for documentation (RFC 5737).
        PublicCidr::NAME => "192.0.2.1/32".to_owned(),
        PrivateIp::NAME | PublicIp::NAME => "192.0.2.1".to_owned(),
        ZoneName::NAME => "us-east-1a".to_owned(),
        // `#cloud-config`, in base64.
        UserDataText::NAME => "I2Nsb3VkLWNvbmZpZwo=".to_owned(),
        other => other.to_owned(),
    }
}

/// What finds that which an operation makes.
fn read(operation: &str) -> Option<Read> {
    let query = Query::default();
    Some(match operation {
        "CreateVpc" => Read::DescribeVpcs(query),
        "CreateSubnet" => Read::DescribeSubnets(query),
        "CreateInternetGateway" | "AttachInternetGateway" => Read::DescribeInternetGateways(query),
        "CreateRouteTable" | "CreateRoute" | "AssociateRouteTable" => {
            Read::DescribeRouteTables(query)
        }
        "CreateSecurityGroup" => Read::DescribeSecurityGroups(query),
        "RevokeSecurityGroupEgress"
        | "AuthorizeSecurityGroupEgress"
        | "AuthorizeSecurityGroupIngress" => Read::DescribeSecurityGroupRules(query),
        "CreateNetworkInterface" => Read::DescribeNetworkInterfaces(query),
        "AllocateAddress" | "AssociateAddress" => Read::DescribeAddresses(query),
        "CreateVolume" | "AttachVolume" => Read::DescribeVolumes(query),
        "CreateLaunchTemplate" => Read::DescribeLaunchTemplates(query),
        "RunInstances" => Read::DescribeInstances(query),
        "CreateAutoScalingGroup" | "AttachLoadBalancerTargetGroups" => {
            Read::DescribeAutoScalingGroups(query)
        }
        "CreateLoadBalancer" | "ModifyLoadBalancerAttributes" => Read::DescribeLoadBalancers(query),
        "CreateTargetGroup" | "ModifyTargetGroupAttributes" => Read::DescribeTargetGroups(query),
        "CreateListener" => Read::DescribeListeners(query),
        "RegisterTargets" => Read::DescribeTargetHealth(query),
        "ChangeResourceRecordSets" => Read::ListResourceRecordSets(query),
        "PutParameter" => Read::DescribeParameters(query),
        _ => return None,
    })
}

/// Ids that are nobody's.
struct Ids {
    vpc: VpcId,
    subnet: SubnetId,
    gateway: InternetGatewayId,
    table: RouteTableId,
    group: GroupId,
    interface: InterfaceId,
    address: AddressId,
    volume: VolumeId,
    instance: InstanceId,
}

impl Ids {
    fn new() -> Result<Self, BackendError> {
        fn id<T: Output>(new: impl Fn(&str) -> Result<T, IdError>) -> Result<T, BackendError> {
            new(&placeholder(T::NAME)).map_err(|error| BackendError::unreadable(&error.to_string()))
        }
        Ok(Self {
            vpc: id(VpcId::new)?,
            subnet: id(SubnetId::new)?,
            gateway: id(InternetGatewayId::new)?,
            table: id(RouteTableId::new)?,
            group: id(GroupId::new)?,
            interface: id(InterfaceId::new)?,
            address: id(AddressId::new)?,
            volume: id(VolumeId::new)?,
            instance: id(InstanceId::new)?,
        })
    }

    /// What is written besides the request that makes something.
    fn making(&self, operation: &str) -> Vec<Write> {
        let tag = Write::CreateTags {
            resources: vec![self.vpc.to_string()],
            tags: vec![Tag::new(DEPLOYMENT, "x")],
        };
        let tags = Vec::new();
        let service = Request::OPERATIONS.iter().find(|(name, _)| *name == operation);
        match operation {
            "PutParameter" => vec![Write::AddTagsToResource { resource_id: String::new(), tags }],
            "RevokeSecurityGroupEgress" => vec![self.revoke_egress(), tag],
            "StageUserData" => vec![Write::PutObject {
                bucket: String::new(),
                key: String::new(),
                body: Vec::new(),
                server_side_encryption: String::new(),
                tagging: Vec::new(),
            }],
            _ if service.is_some_and(|(_, service)| *service == Service::Ec2) => vec![tag],
            _ => Vec::new(),
        }
    }

    fn changing(&self, operation: &str) -> Vec<Write> {
        let (instance_ids, volume_id) = (vec![self.instance.clone()], self.volume.clone());
        match operation {
            "CreateRoute" => vec![Write::ReplaceRoute {
                route_table_id: self.table.clone(),
                destination_cidr_block: Ipv4Net::default(),
                gateway_id: self.gateway.clone(),
            }],
            "AssociateRouteTable" => vec![Write::ReplaceRouteTableAssociation {
                association_id: ASSOCIATION.to_owned(),
                route_table_id: self.table.clone(),
            }],
            "CreateNetworkInterface" => vec![Write::ModifyNetworkInterfaceAttribute {
                network_interface_id: self.interface.clone(),
                attribute: InterfaceAttribute::Description(String::new()),
            }],
            "CreateVolume" => {
                vec![Write::ModifyVolume { volume_id, size: 1, volume_type: "gp3".to_owned() }]
            }
            "AttachVolume" => {
                vec![Write::StopInstances { instance_ids }, Write::DetachVolume { volume_id }]
            }
            "RunInstances" => vec![Write::StartInstances { instance_ids }],
            _ => Vec::new(),
        }
    }

    fn removing(&self, operation: &str) -> Vec<Write> {
        let (internet_gateway_id, vpc_id) = (self.gateway.clone(), self.vpc.clone());
        let (instance_id, volume_id) = (self.instance.clone(), self.volume.clone());
        let instance_ids = vec![instance_id.clone()];
        let association_id = ASSOCIATION.to_owned();
        let write = match operation {
            "CreateVpc" => Write::DeleteVpc { vpc_id },
            "CreateSubnet" => Write::DeleteSubnet { subnet_id: self.subnet.clone() },
            "CreateInternetGateway" => Write::DeleteInternetGateway { internet_gateway_id },
            "AttachInternetGateway" => Write::DetachInternetGateway { internet_gateway_id, vpc_id },
            "CreateRouteTable" => Write::DeleteRouteTable { route_table_id: self.table.clone() },
            "CreateRoute" => Write::DeleteRoute {
                route_table_id: self.table.clone(),
                destination_cidr_block: Ipv4Net::default(),
            },
            "AssociateRouteTable" => Write::DisassociateRouteTable { association_id },
            "CreateSecurityGroup" => Write::DeleteSecurityGroup { group_id: self.group.clone() },
            "AuthorizeSecurityGroupIngress" => Write::RevokeSecurityGroupIngress {
                group_id: self.group.clone(),
                security_group_rule_ids: vec![RULE.to_owned()],
            },
            "AuthorizeSecurityGroupEgress" => self.revoke_egress(),
            "CreateNetworkInterface" => {
                Write::DeleteNetworkInterface { network_interface_id: self.interface.clone() }
            }
            "AllocateAddress" => Write::ReleaseAddress { allocation_id: self.address.clone() },
            "AssociateAddress" => Write::DisassociateAddress { association_id },
            "CreateVolume" => Write::DeleteVolume { volume_id },
            "AttachVolume" => {
                return vec![
                    Write::StopInstances { instance_ids },
                    Write::DetachVolume { volume_id },
                ];
            }
            "CreateLaunchTemplate" => {
                Write::DeleteLaunchTemplate { launch_template_id: TEMPLATE.to_owned() }
            }
            "RunInstances" => {
                return vec![
                    Write::ModifyInstanceAttribute { instance_id, disable_api_termination: false },
                    Write::TerminateInstances { instance_ids },
                ];
            }
            "StageUserData" => Write::DeleteObject { bucket: String::new(), key: String::new() },
            "CreateAutoScalingGroup" => Write::DeleteAutoScalingGroup {
                auto_scaling_group_name: String::new(),
                force_delete: true,
            },
            "CreateLoadBalancer" => Write::DeleteLoadBalancer { load_balancer_arn: String::new() },
            "CreateTargetGroup" => Write::DeleteTargetGroup { target_group_arn: String::new() },
            "PutParameter" => Write::DeleteParameter { name: String::new() },
            "CreateListener" => Write::DeleteListener { listener_arn: String::new() },
            "RegisterTargets" => {
                Write::DeregisterTargets { target_group_arn: String::new(), targets: Vec::new() }
            }
            _ => return Vec::new(),
        };
        vec![write]
    }

    fn revoke_egress(&self) -> Write {
        Write::RevokeSecurityGroupEgress {
            group_id: self.group.clone(),
            security_group_rule_ids: vec![RULE.to_owned()],
        }
    }
}

/// Ids that are nobody's, of kinds that are plain texts here.
const ASSOCIATION: &str = "rtbassoc-00000000000000000";
const RULE: &str = "sgr-00000000000000000";
const TEMPLATE: &str = "lt-00000000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_asked_about() {
        let ids = Ids::new().unwrap();
        for (operation, service) in Request::OPERATIONS {
            let tagged = *service == Service::Ec2;
            let calls = ids.making(operation);
            let writes = tagged || ["StageUserData", "PutParameter"].contains(operation);
            assert_eq!(!calls.is_empty(), writes, "{operation}");
            let found = read(operation).is_some();
            assert_eq!(found, *service != Service::Local, "{operation}");
            let stays = [
                "AttachLoadBalancerTargetGroups",
                "ChangeResourceRecordSets",
                "ModifyLoadBalancerAttributes",
                "ModifyTargetGroupAttributes",
                "RenderUserData",
                "RevokeSecurityGroupEgress",
            ];
            let stays = stays.contains(operation);
            assert_eq!(ids.removing(operation).is_empty(), stays, "{operation}");
        }
    }
}
