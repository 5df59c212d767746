//! Calls that change and remove things.

use aws_sdk_autoscaling::types as scaling;
use aws_sdk_ec2::types as ec2;
use aws_sdk_elasticloadbalancingv2::types as balancing;

use super::{ToSdk, client::Clients, fault::sent, storage, whole};
use crate::{
    engine::call::{Answer, CallError, InterfaceAttribute, Write},
    request::{AutoScalingTag, CreateAutoScalingGroup, CreateTargetGroup, Service},
};

pub(super) async fn write(clients: &Clients, write: &Write) -> Result<Answer, CallError> {
    match write.service() {
        Service::Ec2 | Service::Local => write_ec2(&clients.ec2, write).await?,
        Service::AutoScaling => write_scaling(&clients.scaling, write).await?,
        Service::ElasticLoadBalancing => write_balancing(&clients.balancing, write).await?,
        Service::Ssm => write_parameter(&clients.systems, write).await?,
        Service::Route53 => return Err(elsewhere(write)),
        Service::S3 => storage::write(&clients.storage, write).await?,
    }
    Ok(Answer::Done)
}

/// Texts of things that print as the API takes them.
fn texts<T: ToString>(all: &[T]) -> Option<Vec<String>> {
    Some(all.iter().map(ToString::to_string).collect())
}

async fn write_ec2(to: &aws_sdk_ec2::Client, write: &Write) -> Result<(), CallError> {
    match write {
        Write::CreateTags { resources, tags } => {
            let call = to.create_tags().set_resources(texts(resources));
            sent(call.set_tags(tags.to_sdk()?), |call| call.send()).await?;
        }
        Write::DeleteTags { resources, tag_keys } => {
            let tag = |key: &String| ec2::Tag::builder().key(key).build();
            let tags = tag_keys.iter().map(tag).collect();
            let call = to.delete_tags().set_resources(texts(resources)).set_tags(Some(tags));
            sent(call, |call| call.send()).await?;
        }
        Write::DeleteVpc { vpc_id } => {
            sent(to.delete_vpc().vpc_id(vpc_id.as_str()), |call| call.send()).await?;
        }
        Write::DeleteSubnet { subnet_id } => {
            sent(to.delete_subnet().subnet_id(subnet_id.as_str()), |call| call.send()).await?;
        }
        Write::DetachInternetGateway { internet_gateway_id, vpc_id } => {
            let call = to.detach_internet_gateway();
            let call = call.internet_gateway_id(internet_gateway_id.as_str());
            sent(call.vpc_id(vpc_id.as_str()), |call| call.send()).await?;
        }
        Write::DeleteInternetGateway { internet_gateway_id } => {
            let call = to.delete_internet_gateway();
            sent(call.internet_gateway_id(internet_gateway_id.as_str()), |call| call.send())
                .await?;
        }
        Write::DeleteRouteTable { route_table_id } => {
            let call = to.delete_route_table().route_table_id(route_table_id.as_str());
            sent(call, |call| call.send()).await?;
        }
        Write::ReplaceRoute { route_table_id, destination_cidr_block, gateway_id } => {
            let call = to.replace_route().route_table_id(route_table_id.as_str());
            let call = call.destination_cidr_block(destination_cidr_block.to_string());
            sent(call.gateway_id(gateway_id.as_str()), |call| call.send()).await?;
        }
        Write::DeleteRoute { route_table_id, destination_cidr_block } => {
            let call = to.delete_route().route_table_id(route_table_id.as_str());
            let call = call.destination_cidr_block(destination_cidr_block.to_string());
            sent(call, |call| call.send()).await?;
        }
        Write::ReplaceRouteTableAssociation { association_id, route_table_id } => {
            let call = to.replace_route_table_association().association_id(association_id);
            sent(call.route_table_id(route_table_id.as_str()), |call| call.send()).await?;
        }
        Write::DisassociateRouteTable { association_id } => {
            sent(to.disassociate_route_table().association_id(association_id), |call| call.send())
                .await?;
        }
        Write::DeleteSecurityGroup { group_id } => {
            sent(to.delete_security_group().group_id(group_id.as_str()), |call| call.send())
                .await?;
        }
        Write::RevokeSecurityGroupIngress { group_id, security_group_rule_ids: ids } => {
            let call = to.revoke_security_group_ingress().group_id(group_id.as_str());
            sent(call.set_security_group_rule_ids(texts(ids)), |call| call.send()).await?;
        }
        Write::RevokeSecurityGroupEgress { group_id, security_group_rule_ids: ids } => {
            let call = to.revoke_security_group_egress().group_id(group_id.as_str());
            sent(call.set_security_group_rule_ids(texts(ids)), |call| call.send()).await?;
        }
        Write::ModifyNetworkInterfaceAttribute { network_interface_id, attribute } => {
            let call = to.modify_network_interface_attribute();
            let call = call.network_interface_id(network_interface_id.as_str());
            let call = match attribute {
                InterfaceAttribute::Description(text) => {
                    call.description(ec2::AttributeValue::builder().value(text).build())
                }
                InterfaceAttribute::Groups(groups) => call.set_groups(texts(groups)),
            };
            sent(call, |call| call.send()).await?;
        }
        Write::DeleteNetworkInterface { network_interface_id } => {
            let call = to.delete_network_interface();
            sent(call.network_interface_id(network_interface_id.as_str()), |call| call.send())
                .await?;
        }
        Write::DisassociateAddress { association_id } => {
            sent(to.disassociate_address().association_id(association_id), |call| call.send())
                .await?;
        }
        Write::ReleaseAddress { allocation_id } => {
            sent(to.release_address().allocation_id(allocation_id.as_str()), |call| call.send())
                .await?;
        }
        Write::ModifyVolume { volume_id, size, volume_type } => {
            let call = to.modify_volume().volume_id(volume_id.as_str()).size(whole(*size)?);
            sent(call.volume_type(volume_type.as_str().into()), |call| call.send()).await?;
        }
        Write::DetachVolume { volume_id } => {
            sent(to.detach_volume().volume_id(volume_id.as_str()), |call| call.send()).await?;
        }
        Write::DeleteVolume { volume_id } => {
            sent(to.delete_volume().volume_id(volume_id.as_str()), |call| call.send()).await?;
        }
        Write::ModifyLaunchTemplate { launch_template_id, default_version } => {
            let call = to.modify_launch_template().launch_template_id(launch_template_id);
            sent(call.default_version(default_version), |call| call.send()).await?;
        }
        Write::DeleteLaunchTemplate { launch_template_id } => {
            let call = to.delete_launch_template().launch_template_id(launch_template_id);
            sent(call, |call| call.send()).await?;
        }
        Write::ModifyInstanceAttribute { instance_id, disable_api_termination } => {
            let value = ec2::AttributeBooleanValue::builder().value(*disable_api_termination);
            let call = to.modify_instance_attribute().instance_id(instance_id.as_str());
            sent(call.disable_api_termination(value.build()), |call| call.send()).await?;
        }
        Write::StopInstances { instance_ids } => {
            sent(to.stop_instances().set_instance_ids(texts(instance_ids)), |call| call.send())
                .await?;
        }
        Write::StartInstances { instance_ids } => {
            sent(to.start_instances().set_instance_ids(texts(instance_ids)), |call| call.send())
                .await?;
        }
        Write::TerminateInstances { instance_ids } => {
            sent(to.terminate_instances().set_instance_ids(texts(instance_ids)), |call| {
                call.send()
            })
            .await?;
        }
        other => return Err(elsewhere(other)),
    }
    Ok(())
}

async fn write_scaling(to: &aws_sdk_autoscaling::Client, write: &Write) -> Result<(), CallError> {
    match write {
        Write::UpdateAutoScalingGroup { group } => update_group(to, group).await?,
        Write::CreateOrUpdateTags { auto_scaling_group_name, tags } => {
            let tag = |tag: &AutoScalingTag| {
                scaling::Tag::builder()
                    .resource_id(auto_scaling_group_name)
                    .resource_type("auto-scaling-group")
                    .key(&tag.key)
                    .value(&tag.value)
                    .propagate_at_launch(tag.propagate_at_launch)
                    .build()
            };
            let tags = tags.iter().map(tag).collect();
            sent(to.create_or_update_tags().set_tags(Some(tags)), |call| call.send()).await?;
        }
        Write::StartInstanceRefresh { auto_scaling_group_name: name } => {
            sent(to.start_instance_refresh().auto_scaling_group_name(name), |call| call.send())
                .await?;
        }
        Write::DetachLoadBalancerTargetGroups { auto_scaling_group_name, target_group_arns } => {
            let call = to.detach_load_balancer_target_groups();
            let call = call.auto_scaling_group_name(auto_scaling_group_name);
            sent(call.set_target_group_arns(texts(target_group_arns)), |call| call.send()).await?;
        }
        Write::DeleteAutoScalingGroup { auto_scaling_group_name, force_delete } => {
            let call = to.delete_auto_scaling_group();
            let call = call.auto_scaling_group_name(auto_scaling_group_name);
            sent(call.force_delete(*force_delete), |call| call.send()).await?;
        }
        other => return Err(elsewhere(other)),
    }
    Ok(())
}

/// All settings of a group but its tags and target groups, which have operations of their own.
async fn update_group(
    to: &aws_sdk_autoscaling::Client,
    group: &CreateAutoScalingGroup,
) -> Result<(), CallError> {
    let made = group.to_sdk()?;
    let call = to
        .update_auto_scaling_group()
        .auto_scaling_group_name(&group.auto_scaling_group_name)
        .set_launch_template(made.get_launch_template().clone())
        .set_min_size(*made.get_min_size())
        .set_max_size(*made.get_max_size())
        .set_vpc_zone_identifier(made.get_vpc_zone_identifier().clone())
        .set_health_check_type(made.get_health_check_type().clone())
        .set_health_check_grace_period(*made.get_health_check_grace_period())
        .set_instance_maintenance_policy(made.get_instance_maintenance_policy().clone());
    sent(call, |call| call.send()).await?;
    Ok(())
}

async fn write_balancing(
    to: &aws_sdk_elasticloadbalancingv2::Client,
    write: &Write,
) -> Result<(), CallError> {
    match write {
        Write::AddTags { resource_arns, tags } => {
            let tag = |it: &crate::request::Tag| {
                balancing::Tag::builder().key(&it.key).value(&it.value).build()
            };
            let call = to.add_tags().set_resource_arns(texts(resource_arns));
            sent(call.set_tags(Some(tags.iter().map(tag).collect())), |call| call.send()).await?;
        }
        Write::RemoveTags { resource_arns, tag_keys } => {
            let call = to.remove_tags().set_resource_arns(texts(resource_arns));
            sent(call.set_tag_keys(texts(tag_keys)), |call| call.send()).await?;
        }
        Write::SetSubnets { load_balancer_arn, subnets } => {
            let call = to.set_subnets().load_balancer_arn(load_balancer_arn);
            sent(call.set_subnets(texts(subnets)), |call| call.send()).await?;
        }
        Write::SetSecurityGroups { load_balancer_arn, security_groups } => {
            let call = to.set_security_groups().load_balancer_arn(load_balancer_arn);
            sent(call.set_security_groups(texts(security_groups)), |call| call.send()).await?;
        }
        Write::DeleteLoadBalancer { load_balancer_arn: arn } => {
            sent(to.delete_load_balancer().load_balancer_arn(arn), |call| call.send()).await?;
        }
        Write::ModifyTargetGroup { target_group_arn, health_check } => {
            modify_group(to, target_group_arn, health_check).await?;
        }
        Write::DeleteTargetGroup { target_group_arn: arn } => {
            sent(to.delete_target_group().target_group_arn(arn), |call| call.send()).await?;
        }
        Write::ModifyListener { listener_arn, port, protocol, default_actions } => {
            let call = to.modify_listener().listener_arn(listener_arn).port((*port).into());
            let call = call.protocol(protocol.as_str().into());
            sent(call.set_default_actions(default_actions.to_sdk()?), |call| call.send()).await?;
        }
        Write::DeleteListener { listener_arn } => {
            sent(to.delete_listener().listener_arn(listener_arn), |call| call.send()).await?;
        }
        Write::DeregisterTargets { target_group_arn, targets } => {
            let call = to.deregister_targets().target_group_arn(target_group_arn);
            sent(call.set_targets(targets.to_sdk()?), |call| call.send()).await?;
        }
        other => return Err(elsewhere(other)),
    }
    Ok(())
}

/// The settings of a target group that can be changed.
async fn modify_group(
    to: &aws_sdk_elasticloadbalancingv2::Client,
    arn: &str,
    group: &CreateTargetGroup,
) -> Result<(), CallError> {
    let made = group.to_sdk()?;
    let call = to
        .modify_target_group()
        .target_group_arn(arn)
        .set_health_check_protocol(made.get_health_check_protocol().clone())
        .set_health_check_port(made.get_health_check_port().clone())
        .set_health_check_path(made.get_health_check_path().clone())
        .set_matcher(made.get_matcher().clone())
        .set_health_check_interval_seconds(*made.get_health_check_interval_seconds())
        .set_health_check_timeout_seconds(*made.get_health_check_timeout_seconds())
        .set_healthy_threshold_count(*made.get_healthy_threshold_count())
        .set_unhealthy_threshold_count(*made.get_unhealthy_threshold_count());
    sent(call, |call| call.send()).await?;
    Ok(())
}

async fn write_parameter(to: &aws_sdk_ssm::Client, write: &Write) -> Result<(), CallError> {
    match write {
        Write::AddTagsToResource { resource_id, tags } => {
            let kind = aws_sdk_ssm::types::ResourceTypeForTagging::Parameter;
            let call = to.add_tags_to_resource().resource_type(kind).resource_id(resource_id);
            sent(call.set_tags(Some(super::parameter::tags(tags)?)), |call| call.send()).await?;
        }
        Write::DeleteParameter { name } => {
            sent(to.delete_parameter().name(name), |call| call.send()).await?;
        }
        other => return Err(elsewhere(other)),
    }
    Ok(())
}

/// A call that its own service does not know; the table of calls is wrong then.
pub(super) fn elsewhere(write: &Write) -> CallError {
    let (operation, service) = (write.operation(), write.service().as_str());
    CallError::refused("InvalidInput", format!("{service} has no operation {operation}"))
}
