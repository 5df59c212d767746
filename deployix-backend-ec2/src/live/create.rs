//! Calls that make things.

use super::{ToSdk, client::Clients, fault::sent};
use crate::{
    engine::call::{Answer, CallError},
    request::Request,
};

pub(super) async fn create(
    clients: &Clients,
    request: &Request,
    client_token: Option<&str>,
) -> Result<Answer, CallError> {
    if request.takes_token() != client_token.is_some() {
        let message = "a client token is missing, or given to an operation that takes none";
        return Err(CallError::refused("InvalidInput", message));
    }
    let token = client_token.map(str::to_owned);
    let Clients { ec2, scaling, balancing, names, systems, .. } = clients;
    match request {
        Request::CreateVpc(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.vpc().and_then(|it| it.vpc_id()))
        }
        Request::CreateSubnet(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.subnet().and_then(|it| it.subnet_id()))
        }
        Request::CreateInternetGateway(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.internet_gateway().and_then(|it| it.internet_gateway_id()))
        }
        Request::AttachInternetGateway(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?)
        }
        Request::CreateRouteTable(it) => {
            let told =
                sent(it.to_sdk()?.set_client_token(token), |call| call.send_with(ec2)).await?;
            made(told.route_table().and_then(|it| it.route_table_id()))
        }
        Request::CreateRoute(it) => done(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?),
        Request::AssociateRouteTable(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.association_id())
        }
        Request::CreateSecurityGroup(it) => {
            made(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?.group_id())
        }
        Request::RevokeSecurityGroupEgress(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?)
        }
        Request::AuthorizeSecurityGroupIngress(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.security_group_rules().first().and_then(|it| it.security_group_rule_id()))
        }
        Request::AuthorizeSecurityGroupEgress(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(ec2)).await?;
            made(told.security_group_rules().first().and_then(|it| it.security_group_rule_id()))
        }
        Request::CreateNetworkInterface(it) => {
            let told =
                sent(it.to_sdk()?.set_client_token(token), |call| call.send_with(ec2)).await?;
            made(told.network_interface().and_then(|it| it.network_interface_id()))
        }
        Request::AllocateAddress(it) => {
            made(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?.allocation_id())
        }
        Request::AssociateAddress(it) => {
            made(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?.association_id())
        }
        Request::CreateVolume(it) => made(
            sent(it.to_sdk()?.set_client_token(token), |call| call.send_with(ec2))
                .await?
                .volume_id(),
        ),
        Request::AttachVolume(it) => done(sent(it.to_sdk()?, |call| call.send_with(ec2)).await?),
        Request::CreateLaunchTemplate(it) => {
            let told =
                sent(it.to_sdk()?.set_client_token(token), |call| call.send_with(ec2)).await?;
            made(told.launch_template().and_then(|it| it.launch_template_id()))
        }
        Request::RunInstances(it) => {
            let told =
                sent(it.to_sdk()?.set_client_token(token), |call| call.send_with(ec2)).await?;
            made(told.instances().first().and_then(|it| it.instance_id()))
        }
        Request::CreateAutoScalingGroup(it) => {
            sent(it.to_sdk()?, |call| call.send_with(scaling)).await?;
            made(Some(&it.auto_scaling_group_name))
        }
        Request::AttachLoadBalancerTargetGroups(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(scaling)).await?)
        }
        Request::CreateLoadBalancer(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(balancing)).await?;
            made(told.load_balancers().first().and_then(|it| it.load_balancer_arn()))
        }
        Request::ModifyLoadBalancerAttributes(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(balancing)).await?)
        }
        Request::CreateTargetGroup(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(balancing)).await?;
            made(told.target_groups().first().and_then(|it| it.target_group_arn()))
        }
        Request::ModifyTargetGroupAttributes(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(balancing)).await?)
        }
        Request::CreateListener(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(balancing)).await?;
            made(told.listeners().first().and_then(|it| it.listener_arn()))
        }
        Request::RegisterTargets(it) => {
            done(sent(it.to_sdk()?, |call| call.send_with(balancing)).await?)
        }
        Request::ChangeResourceRecordSets(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(names)).await?;
            made(told.change_info().map(|it| it.id()))
        }
        Request::PutParameter(it) => {
            let told = sent(it.to_sdk()?, |call| call.send_with(systems)).await?;
            made(Some(&told.version().to_string()))
        }
        Request::RenderUserData(_) | Request::StageUserData(_) => {
            Err(super::InputError::Local(request.operation()).into())
        }
    }
}

fn made(id: Option<&str>) -> Result<Answer, CallError> {
    let id = id.ok_or_else(|| CallError::unreadable("the id of what was made is missing"))?;
    Ok(Answer::Made(id.to_owned()))
}

/// Operations that tell nothing that is not known.
fn done<T>(_: T) -> Result<Answer, CallError> {
    Ok(Answer::Done)
}
