//! Network load balancers.

use aws_sdk_elasticloadbalancingv2::{operation as api, types};

use super::{InputError, ToSdk, whole};
use crate::request::{
    Action, Attribute, BalancerScheme, CreateListener, CreateLoadBalancer, CreateTargetGroup,
    ForwardTo, ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes, RegisterTargets, Tag,
    TargetDescription,
};

/// Tags are a type of each API's own.
fn tags(tags: &[Tag]) -> Option<Vec<types::Tag>> {
    let tag = |tag: &Tag| types::Tag::builder().key(&tag.key).value(&tag.value).build();
    Some(tags.iter().map(tag).collect())
}

impl ToSdk for CreateLoadBalancer {
    type Sdk = api::create_load_balancer::builders::CreateLoadBalancerInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let scheme = match self.scheme {
            BalancerScheme::Internal => types::LoadBalancerSchemeEnum::Internal,
            BalancerScheme::InternetFacing => types::LoadBalancerSchemeEnum::InternetFacing,
        };
        Ok(Self::Sdk::default()
            .name(&self.name)
            .r#type(self.kind.as_str().into())
            .scheme(scheme)
            .ip_address_type(self.ip_address_type.as_str().into())
            .set_subnets(self.subnets.to_sdk()?)
            .set_security_groups(self.security_groups.to_sdk()?)
            .set_tags(tags(&self.tags)))
    }
}

impl ToSdk for CreateTargetGroup {
    type Sdk = api::create_target_group::builders::CreateTargetGroupInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let matcher = self.matcher.as_ref();
        let matcher =
            matcher.map(|matcher| types::Matcher::builder().http_code(&matcher.http_code).build());
        Ok(Self::Sdk::default()
            .name(&self.name)
            .protocol(self.protocol.as_str().into())
            .port(self.port.into())
            .vpc_id(self.vpc_id.to_sdk()?)
            .target_type(self.target_type.as_str().into())
            .health_check_protocol(self.health_check_protocol.as_str().into())
            .health_check_port(&self.health_check_port)
            .set_health_check_path(self.health_check_path.clone())
            .set_matcher(matcher)
            .health_check_interval_seconds(whole(self.health_check_interval_seconds)?)
            .set_health_check_timeout_seconds(
                self.health_check_timeout_seconds.map(whole).transpose()?,
            )
            .healthy_threshold_count(whole(self.healthy_threshold_count)?)
            .unhealthy_threshold_count(whole(self.unhealthy_threshold_count)?)
            .set_tags(tags(&self.tags)))
    }
}

impl ToSdk for CreateListener {
    type Sdk = api::create_listener::builders::CreateListenerInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .load_balancer_arn(self.load_balancer_arn.to_sdk()?)
            .protocol(self.protocol.as_str().into())
            .port(self.port.into())
            .set_default_actions(self.default_actions.to_sdk()?)
            .set_tags(tags(&self.tags)))
    }
}

impl ToSdk for Action {
    type Sdk = types::Action;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let kind = match self.kind {
            ForwardTo::Forward => types::ActionTypeEnum::Forward,
        };
        Ok(types::Action::builder()
            .r#type(kind)
            .target_group_arn(self.target_group_arn.to_sdk()?)
            .build())
    }
}

impl ToSdk for RegisterTargets {
    type Sdk = api::register_targets::builders::RegisterTargetsInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .target_group_arn(self.target_group_arn.to_sdk()?)
            .set_targets(self.targets.to_sdk()?))
    }
}

impl ToSdk for TargetDescription {
    type Sdk = types::TargetDescription;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::TargetDescription::builder().id(self.id.to_sdk()?).port(self.port.into()).build())
    }
}

impl ToSdk for ModifyLoadBalancerAttributes {
    type Sdk =
        api::modify_load_balancer_attributes::builders::ModifyLoadBalancerAttributesInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(Self::Sdk::default()
            .load_balancer_arn(self.load_balancer_arn.to_sdk()?)
            .set_attributes(self.attributes.to_sdk()?))
    }
}

impl ToSdk for ModifyTargetGroupAttributes {
    type Sdk =
        api::modify_target_group_attributes::builders::ModifyTargetGroupAttributesInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        // Attributes are a type of each thing's own.
        let attribute = |it: &Attribute| {
            types::TargetGroupAttribute::builder().key(&it.key).value(&it.value).build()
        };
        Ok(Self::Sdk::default()
            .target_group_arn(self.target_group_arn.to_sdk()?)
            .set_attributes(Some(self.attributes.iter().map(attribute).collect())))
    }
}

impl ToSdk for Attribute {
    type Sdk = types::LoadBalancerAttribute;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::LoadBalancerAttribute::builder().key(&self.key).value(&self.value).build())
    }
}
