//! [`Sdk`]: the client that talks to AWS, through AWS's own SDK.
//!
//! * requests as the inputs of the SDK: one file for each file of [`crate::request`], and one
//!   implementation of `ToSdk` for each type there, so that the compiler holds the two together;
//! * `answer`: what the SDK tells, as [`crate::engine::shape`] has it;
//! * `create`, `write`, `read`: the calls of [`crate::engine::call`], one after the other;
//! * `storage`: those of S3;
//! * `client`: configuration, regions, time-outs;
//! * `dry_run`: how EC2 is asked whether it would carry a call out;
//! * `fault`: what the SDK calls an error, as the engine reads errors.

mod answer;
mod balancer;
mod client;
mod create;
mod dry_run;
mod fault;
mod machine;
mod network;
mod parameter;
mod read;
mod record;
mod rule;
mod scaling;
mod storage;
mod write;

use std::fmt;

use aws_sdk_autoscaling::operation as autoscaling;
use aws_sdk_ec2::{error::BuildError, operation as ec2};
use aws_sdk_elasticloadbalancingv2::operation as balancing;
use aws_sdk_route53::operation as names;
use aws_sdk_ssm::operation as systems;
pub use client::{Sdk, Timeouts};
use deployix_core::{SecretName, backend::OutputRef};

use crate::request::{Request, Value};

/// Tells why a request is no input of the SDK.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// An output is not filled in.
    #[error("output {} of resource {} is not known yet", .0.output, .0.resource)]
    Unknown(OutputRef),
    /// The API takes no number as large.
    #[error("{0} is more than the API takes")]
    TooLarge(u32),
    /// A parameter is missing.
    #[error("the request is not complete")]
    Incomplete(#[from] BuildError),
    /// The value of a secret is not filled in.
    #[error("the value of the secret `{0}` is not known yet")]
    Secret(SecretName),
    /// What a parameter says is no text.
    #[error("a parameter holds text alone")]
    NoText,
    /// It is a computation of this side.
    #[error("{0} is no operation of AWS")]
    Local(&'static str),
}

/// A part of a request as the SDK has it.
trait ToSdk {
    type Sdk;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError>;
}

impl<T: ToSdk> ToSdk for Vec<T> {
    type Sdk = Option<Vec<T::Sdk>>;

    /// No list where it is empty: the query protocol does not tell the two apart.
    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        if self.is_empty() {
            return Ok(None);
        }
        self.iter().map(ToSdk::to_sdk).collect::<Result<Vec<_>, _>>().map(Some)
    }
}

impl<T: fmt::Display> ToSdk for Value<T> {
    type Sdk = String;

    fn to_sdk(&self) -> Result<String, InputError> {
        match self {
            Self::Known(value) => Ok(value.to_string()),
            Self::Output(output) => Err(InputError::Unknown(output.clone())),
        }
    }
}

/// A count or size as the SDK has it.
fn whole(number: u32) -> Result<i32, InputError> {
    i32::try_from(number).map_err(|_| InputError::TooLarge(number))
}

macro_rules! inputs {
    ($($api:ident::$module:ident: $operation:ident($input:ident),)*) => {
        /// The input of one operation of the SDK.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "each variant is the input of its operation")]
        #[non_exhaustive]
        pub enum Input {
            $($operation(Box<$api::$module::$input>),)*
        }

        /// A request as the SDK's input, once every output in it is filled in.
        ///
        /// # Errors
        /// Names what is missing; see [`InputError`].
        pub fn input(request: &Request) -> Result<Input, InputError> {
            match request {
                $(Request::$operation(request) => {
                    Ok(Input::$operation(Box::new(request.to_sdk()?.build()?)))
                })*
                Request::RenderUserData(_) | Request::StageUserData(_) => {
                    Err(InputError::Local(request.operation()))
                }
            }
        }
    };
}

inputs! {
    ec2::create_vpc: CreateVpc(CreateVpcInput),
    ec2::create_subnet: CreateSubnet(CreateSubnetInput),
    ec2::create_internet_gateway: CreateInternetGateway(CreateInternetGatewayInput),
    ec2::attach_internet_gateway: AttachInternetGateway(AttachInternetGatewayInput),
    ec2::create_route_table: CreateRouteTable(CreateRouteTableInput),
    ec2::create_route: CreateRoute(CreateRouteInput),
    ec2::associate_route_table: AssociateRouteTable(AssociateRouteTableInput),
    ec2::create_security_group: CreateSecurityGroup(CreateSecurityGroupInput),
    ec2::revoke_security_group_egress: RevokeSecurityGroupEgress(RevokeSecurityGroupEgressInput),
    ec2::authorize_security_group_ingress:
        AuthorizeSecurityGroupIngress(AuthorizeSecurityGroupIngressInput),
    ec2::authorize_security_group_egress:
        AuthorizeSecurityGroupEgress(AuthorizeSecurityGroupEgressInput),
    ec2::create_network_interface: CreateNetworkInterface(CreateNetworkInterfaceInput),
    ec2::allocate_address: AllocateAddress(AllocateAddressInput),
    ec2::associate_address: AssociateAddress(AssociateAddressInput),
    ec2::create_volume: CreateVolume(CreateVolumeInput),
    ec2::attach_volume: AttachVolume(AttachVolumeInput),
    ec2::create_launch_template: CreateLaunchTemplate(CreateLaunchTemplateInput),
    ec2::run_instances: RunInstances(RunInstancesInput),
    autoscaling::create_auto_scaling_group: CreateAutoScalingGroup(CreateAutoScalingGroupInput),
    autoscaling::attach_load_balancer_target_groups:
        AttachLoadBalancerTargetGroups(AttachLoadBalancerTargetGroupsInput),
    balancing::create_load_balancer: CreateLoadBalancer(CreateLoadBalancerInput),
    balancing::modify_load_balancer_attributes:
        ModifyLoadBalancerAttributes(ModifyLoadBalancerAttributesInput),
    balancing::create_target_group: CreateTargetGroup(CreateTargetGroupInput),
    balancing::modify_target_group_attributes:
        ModifyTargetGroupAttributes(ModifyTargetGroupAttributesInput),
    balancing::create_listener: CreateListener(CreateListenerInput),
    balancing::register_targets: RegisterTargets(RegisterTargetsInput),
    names::change_resource_record_sets:
        ChangeResourceRecordSets(ChangeResourceRecordSetsInput),
    systems::put_parameter: PutParameter(PutParameterInput),
}
