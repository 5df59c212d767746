//! How AWS gets from one request to another: in place, or by making anew.

use deployix_core::backend::{Change, Resource};

use crate::{request::Operation, resource};

/// The parameters that can be changed about what an operation made, each by which other operation;
/// a change of any other parameter makes it anew. From the API references of Amazon EC2, Amazon EC2
/// Auto Scaling and Elastic Load Balancing.
fn in_place(operation: Operation) -> &'static [&'static str] {
    match operation {
        // CreateTags. A network is never made anew under what runs in it: AWS changes no block of
        // addresses, so that is refused when it is applied.
        Operation::CreateVpc => &["CidrBlock", "TagSpecifications"],
        // CreateTags. Where no zone was named, AWS chose one, which somebody may name now; another zone
        // is refused when it is applied.
        Operation::CreateSubnet => &["AvailabilityZone", "TagSpecifications"],
        // CreateTags.
        Operation::CreateInternetGateway
        | Operation::CreateRouteTable
        | Operation::CreateSecurityGroup
        | Operation::AuthorizeSecurityGroupIngress
        | Operation::AuthorizeSecurityGroupEgress
        | Operation::AllocateAddress
        | Operation::CreateLaunchTemplate
        | Operation::RunInstances => &["TagSpecifications"],
        // ReplaceRoute.
        Operation::CreateRoute => &["GatewayId"],
        // ReplaceRouteTableAssociation.
        Operation::AssociateRouteTable => &["RouteTableId"],
        // A local computation.
        Operation::RenderUserData => &["Parts", "Encoding"],
        // ModifyNetworkInterfaceAttribute.
        Operation::CreateNetworkInterface => &["Description", "Groups", "TagSpecifications"],
        // AssociateAddress with AllowReassociation.
        Operation::AssociateAddress => {
            &["AllocationId", "NetworkInterfaceId", "AllowReassociation"]
        }
        // ModifyVolume. A disk holds what has to survive, so no change ever makes it anew: what AWS
        // cannot do, such as shrinking it or moving it to another zone, is refused when it is applied.
        Operation::CreateVolume => {
            &["AvailabilityZone", "Encrypted", "Size", "TagSpecifications", "VolumeType"]
        }
        // UpdateAutoScalingGroup and StartInstanceRefresh, CreateOrUpdateTags.
        Operation::CreateAutoScalingGroup => &[
            "HealthCheckGracePeriod",
            "HealthCheckType",
            "InstanceMaintenancePolicy",
            "LaunchTemplate",
            "MaxSize",
            "MinSize",
            "Tags",
            "VPCZoneIdentifier",
        ],
        // SetSubnets, SetSecurityGroups, AddTags.
        Operation::CreateLoadBalancer => &["SecurityGroups", "Subnets", "Tags"],
        // ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes.
        Operation::ModifyLoadBalancerAttributes | Operation::ModifyTargetGroupAttributes => {
            &["Attributes"]
        }
        // ModifyTargetGroup.
        Operation::CreateTargetGroup => &[
            "HealthCheckIntervalSeconds",
            "HealthCheckPath",
            "HealthCheckPort",
            "HealthCheckProtocol",
            "HealthCheckTimeoutSeconds",
            "HealthyThresholdCount",
            "Matcher",
            "Tags",
            "UnhealthyThresholdCount",
        ],
        // ModifyListener.
        Operation::CreateListener => &["DefaultActions", "Port", "Protocol", "Tags"],
        // RegisterTargets and DeregisterTargets.
        Operation::RegisterTargets => &["Targets"],
        // The same once more; the id of its resource tells zone and name.
        Operation::ChangeResourceRecordSets => &["ChangeBatch"],
        // PutParameter with Overwrite, AddTagsToResource.
        Operation::PutParameter => &["Description", "Tags", "Tier", "Value"],
        Operation::AttachInternetGateway
        | Operation::RevokeSecurityGroupEgress
        | Operation::StageUserData
        | Operation::AttachVolume
        | Operation::AttachLoadBalancerTargetGroups => &[],
    }
}

/// How to get from a resource to another of the same id.
pub(crate) fn change(from: &Resource, to: &Resource) -> Change {
    if from.inputs() == to.inputs() {
        return Change::Keep;
    }
    let Ok(operation) = resource::operation(to.inputs()) else {
        return Change::Replace;
    };
    let in_place = in_place(operation);
    let keys = from.inputs().keys().chain(to.inputs().keys());
    let mut different = keys.filter(|key| from.inputs().get(*key) != to.inputs().get(*key));
    if different.all(|key| in_place.contains(&key.as_ref())) {
        Change::Update
    } else if operation == Operation::RunInstances {
        let interfaces = |it: &Resource| it.inputs().get("NetworkInterfaces").cloned();
        let why = if interfaces(from) == interfaces(to) {
            "its address stays, and is one machine's at a time"
        } else {
            "it moves to another subnet, and takes its disk and public address along"
        };
        Change::Recreate { why }
    } else {
        Change::Replace
    }
}

#[cfg(test)]
mod tests {
    use deployix_core::{
        Name, ResourceId,
        backend::{Inputs, Owner},
    };

    use super::*;
    use crate::resource::OPERATION;

    fn resource(inputs: &[(&str, &str)]) -> Resource {
        let inputs: Inputs =
            inputs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
        let owner = Owner::Target(Name::new("t").unwrap());
        Resource::new(ResourceId::new("ec2/x").unwrap(), owner, inputs, [])
    }

    #[test]
    fn only_what_aws_changes_in_place_is_updated() {
        let group = |min: &str, name: &str| {
            let inputs = [
                (OPERATION, "CreateAutoScalingGroup"),
                ("MinSize", min),
                ("AutoScalingGroupName", name),
            ];
            resource(&inputs)
        };
        assert_eq!(change(&group("1", "a"), &group("1", "a")), Change::Keep);
        assert_eq!(change(&group("1", "a"), &group("2", "a")), Change::Update);
        assert_eq!(change(&group("1", "a"), &group("2", "b")), Change::Replace);
    }

    #[test]
    fn another_region_or_operation_is_another_thing() {
        let here = resource(&[(OPERATION, "CreateVolume"), ("region", "a")]);
        assert_eq!(change(&here, &resource(&[(OPERATION, "CreateVolume")])), Change::Replace);
        let other = resource(&[(OPERATION, "AllocateAddress"), ("region", "a")]);
        assert_eq!(change(&here, &other), Change::Replace);
    }

    #[test]
    fn a_machine_goes_before_the_next_one_takes_its_address() {
        let machine =
            |name: &str| resource(&[(OPERATION, "RunInstances"), ("LaunchTemplate", name)]);
        let change = change(&machine("a"), &machine("b"));
        assert!(matches!(change, Change::Recreate { .. }), "{change:?}");
    }

    #[test]
    fn a_machine_that_moves_is_told_from_one_that_stays() {
        let machine = |template: &str, interface: &str| {
            let inputs = [
                (OPERATION, "RunInstances"),
                ("LaunchTemplate", template),
                ("NetworkInterfaces", interface),
            ];
            resource(&inputs)
        };
        let why = |to: Resource| match change(&machine("a", "x"), &to) {
            Change::Recreate { why } => why,
            other => panic!("{other:?}"),
        };
        assert!(why(machine("b", "x")).contains("its address stays"));
        assert!(why(machine("a", "y")).contains("another subnet"));
    }

    #[test]
    fn what_holds_machines_is_never_made_anew_under_them() {
        let network = |block: &str| resource(&[(OPERATION, "CreateVpc"), ("CidrBlock", block)]);
        assert_eq!(change(&network("10.0.0.0/16"), &network("10.30.0.0/16")), Change::Update);
        let subnet = |zone: &str| {
            let inputs = [(OPERATION, "CreateSubnet"), ("AvailabilityZone", zone)];
            resource(&inputs)
        };
        assert_eq!(change(&subnet("a"), &subnet("b")), Change::Update);
    }

    #[test]
    fn a_disk_is_never_made_anew() {
        let disk = |size: &str, zone: &str| {
            resource(&[(OPERATION, "CreateVolume"), ("Size", size), ("AvailabilityZone", zone)])
        };
        assert_eq!(change(&disk("20", "a"), &disk("10", "b")), Change::Update);
    }
}
