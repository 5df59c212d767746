//! A load balancer as AWS's own: a network load balancer, its listener and the machines behind it.

use deployix_core::{
    ResourceId,
    backend::{CompileError, Owner, Remark, Resource, Unit},
    spec::{LoadBalancer, Protocol, Span},
};

use super::{group_of, peer};
use crate::{
    extension::LoadBalancerSettings,
    naming,
    network::Net,
    request::{
        Action, AttachLoadBalancerTargetGroups, Attribute, BalancerScheme, CreateListener,
        CreateLoadBalancer, CreateTargetGroup, ForwardTo, LoadBalancerArn, Matcher,
        ModifyLoadBalancerAttributes, RegisterTargets, Request, TargetDescription, TargetGroupArn,
        Value,
    },
    resource::resource,
    settings,
};

/// The protocol of what is balanced: that of the provider's endpoint at the target port.
pub(super) fn protocol(unit: &Unit<'_>, balancer: &LoadBalancer) -> Result<Protocol, CompileError> {
    let endpoints = unit.upstreams.iter().flat_map(|upstream| upstream.endpoints);
    let mut at_port = endpoints.filter(|endpoint| endpoint.endpoint.port == balancer.target_port);
    at_port.next().map(|endpoint| endpoint.endpoint.protocol).ok_or_else(|| {
        let message = format!(
            "it passes connections to port {}, where {} does not listen",
            balancer.target_port, balancer.balances
        );
        Remark::new(["target-port"], message)
            .remedy("set `target-port` to the port of one of its endpoints")
            .into()
    })
}

/// The load balancer and all that belongs to it.
pub(super) fn compile(
    unit: &Unit<'_>,
    balancer: &LoadBalancer,
    net: &Net<'_>,
) -> Result<Vec<Resource>, CompileError> {
    let parts = Parts { unit, balancer, net, protocol: protocol(unit, balancer)? };
    let mut made = vec![parts.target_group()?, parts.load_balancer()?, parts.attributes()?];
    let machines = parts.machines()?;
    // Whoever connects is led to machines that are there.
    let before = machines.iter().map(|resource| resource.id().clone()).collect();
    made.push(parts.listener(before)?);
    made.extend(machines);
    Ok(made)
}

struct Parts<'a, 'b> {
    unit: &'a Unit<'b>,
    balancer: &'a LoadBalancer,
    net: &'a Net<'a>,
    protocol: Protocol,
}

impl Parts<'_, '_> {
    fn make(
        &self,
        rest: &[&str],
        after: Vec<ResourceId>,
        request: impl FnOnce(&ResourceId) -> Result<Request, CompileError>,
    ) -> Result<Resource, CompileError> {
        let id = naming::of_functionality(self.unit.name, rest)?;
        let request = request(&id)?;
        let owner = Owner::Functionality(self.unit.name.clone());
        resource(id, owner, self.net.region.as_deref(), request, after)
    }

    fn arn(&self) -> Result<Value<LoadBalancerArn>, CompileError> {
        Ok(Value::output_of(&naming::of_functionality(self.unit.name, &["load-balancer"])?))
    }

    fn group(&self) -> Result<Value<TargetGroupArn>, CompileError> {
        Ok(Value::output_of(&naming::of_functionality(self.unit.name, &["target-group"])?))
    }

    /// `TCP` or `UDP`.
    fn transport(&self) -> String {
        self.protocol.as_str().to_ascii_uppercase()
    }

    fn load_balancer(&self) -> Result<Resource, CompileError> {
        let scheme = if self.balancer.open_to.iter().any(peer::is_public) {
            BalancerScheme::InternetFacing
        } else {
            BalancerScheme::Internal
        };
        let identity = match scheme {
            BalancerScheme::Internal => "internal",
            BalancerScheme::InternetFacing => "internet-facing",
        };
        let deployment = self.unit.deployment;
        self.make(&["load-balancer"], Vec::new(), |id| {
            let name = naming::short(deployment, self.balancer.name.as_str(), identity);
            Ok(CreateLoadBalancer {
                tags: naming::tags(deployment, &name, id),
                name,
                kind: "network".to_owned(),
                scheme,
                ip_address_type: "ipv4".to_owned(),
                subnets: self.net.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
                security_groups: vec![group_of(self.unit.name)?],
            }
            .into())
        })
    }

    /// Each zone's part of the load balancer passes connections to the machines of all zones.
    /// Otherwise those of a zone without machines would go nowhere.
    fn attributes(&self) -> Result<Resource, CompileError> {
        self.make(&["load-balancer", "attributes"], Vec::new(), |_| {
            let attributes = vec![Attribute {
                key: "load_balancing.cross_zone.enabled".to_owned(),
                value: "true".to_owned(),
            }];
            let load_balancer_arn = self.arn()?;
            Ok(ModifyLoadBalancerAttributes { load_balancer_arn, attributes }.into())
        })
    }

    fn target_group(&self) -> Result<Resource, CompileError> {
        let wishes: LoadBalancerSettings = settings(&self.balancer.extensions)?;
        let check = self.health_check(wishes)?;
        let port = self.balancer.target_port.get();
        let deployment = self.unit.deployment;
        self.make(&["target-group"], Vec::new(), |id| {
            let vpc = serde_json::to_string(&self.net.vpc).unwrap_or_default();
            let identity = format!("{}/{port}/{vpc}", self.protocol);
            let name = naming::short(deployment, self.balancer.name.as_str(), &identity);
            Ok(CreateTargetGroup {
                tags: naming::tags(deployment, &name, id),
                name,
                protocol: self.transport(),
                port,
                vpc_id: self.net.vpc.clone(),
                target_type: "instance".to_owned(),
                health_check_protocol: if check.path.is_some() { "HTTP" } else { "TCP" }.to_owned(),
                health_check_port: check.port.to_string(),
                matcher: check.path.is_some().then(|| Matcher { http_code: "200-399".to_owned() }),
                health_check_path: check.path,
                health_check_interval_seconds: check.interval,
                health_check_timeout_seconds: check.timeout,
                healthy_threshold_count: check.healthy,
                unhealthy_threshold_count: check.unhealthy,
            }
            .into())
        })
    }

    fn health_check(&self, wishes: LoadBalancerSettings) -> Result<HealthCheck, CompileError> {
        let port = self.balancer.target_port.get();
        if self.protocol == Protocol::Udp {
            let message = format!(
                "machines behind port {port} over UDP can be checked over TCP only, and their load \
                 balancer may reach no other port"
            );
            return Err(Remark::new(["target-port"], message)
                .remedy("balance over a TCP endpoint, or give the consumers a pool of machines")
                .into());
        }
        let mut reasons = Vec::new();
        let mut within = |key: &str, value: u64, range: std::ops::RangeInclusive<u64>| {
            if !range.contains(&value) {
                let (first, last) = (range.start(), range.end());
                let message = format!("{value} is not between {first} and {last}, as AWS takes it");
                reasons.push(
                    Remark::new(["extensions", "ec2", key], message)
                        .remedy(format!("write one between {first} and {last}")),
                );
            }
            u32::try_from(value).unwrap_or(u32::MAX)
        };
        let seconds = |span: Span| span.as_seconds();
        let interval = wishes.health_check_interval.map_or(10, seconds);
        let interval = within("health-check-interval", interval, 5..=300);
        let timeout = wishes.health_check_timeout.map(seconds);
        let timeout = timeout.map(|timeout| within("health-check-timeout", timeout, 2..=120));
        let mut threshold =
            |key: &str, value: Option<u32>| within(key, value.unwrap_or(2).into(), 2..=10);
        let healthy = threshold("healthy-threshold", wishes.healthy_threshold);
        let unhealthy = threshold("unhealthy-threshold", wishes.unhealthy_threshold);
        if !reasons.is_empty() {
            return Err(CompileError { reasons });
        }
        let path = wishes.health_check_path;
        if let Some(path) = path.as_deref().filter(|path| !is_path(path)) {
            let message = format!("{path:?} is no path of at most 1024 printable characters");
            return Err(Remark::new(["extensions", "ec2", "health-check-path"], message)
                .remedy("write a path such as \"/healthz\"")
                .into());
        }
        Ok(HealthCheck { port, path, interval, timeout, healthy, unhealthy })
    }

    fn listener(&self, after: Vec<ResourceId>) -> Result<Resource, CompileError> {
        self.make(&["listener"], after, |id| {
            Ok(CreateListener {
                load_balancer_arn: self.arn()?,
                protocol: self.transport(),
                port: self.balancer.source_port.get(),
                default_actions: vec![Action {
                    kind: ForwardTo::Forward,
                    target_group_arn: self.group()?,
                }],
                tags: naming::tags(self.unit.deployment, self.balancer.name.as_str(), id),
            }
            .into())
        })
    }

    /// The machines behind it, in each of the provider's targets.
    fn machines(&self) -> Result<Vec<Resource>, CompileError> {
        let upstreams = self.unit.upstreams.iter();
        upstreams.map(|upstream| self.provider(upstream)).collect()
    }

    fn provider(
        &self,
        upstream: &deployix_core::backend::Peer<'_>,
    ) -> Result<Resource, CompileError> {
        let target = &upstream.site.target.name;
        if !peer::is_ec2(&upstream.site) {
            let message = format!(
                "a network load balancer passes connections to EC2 machines, and {} runs on {target}",
                upstream.name
            );
            return Err(Remark::new(["balances"], message)
                .remedy("set the load balancer's `target` to one of that target's backend")
                .into());
        }
        let owner =
            Owner::Edge { consumer: self.unit.name.clone(), provider: upstream.name.clone() };
        let rest = ["target-group", "machines", target.as_str()];
        let id = naming::of_functionality(self.unit.name, &rest)?;
        let region = self.net.region.as_deref();
        let group = self.group()?;
        if peer::is_autoscaling(&upstream.site) {
            let attach = AttachLoadBalancerTargetGroups {
                auto_scaling_group_name: peer::autoscaling_group(self.unit.deployment, target),
                target_group_arns: vec![group],
            };
            let made_before = naming::of_target(target, "autoscaling-group")?;
            return resource(id, owner, region, attach, [made_before]);
        }
        let port = self.balancer.target_port.get();
        let machines = peer::instances(upstream)?.into_iter();
        let targets = machines.map(|id| TargetDescription { id, port }).collect();
        resource(id, owner, region, RegisterTargets { target_group_arn: group, targets }, [])
    }
}

/// Times are in seconds. What AWS takes: Elastic Load Balancing API Reference,
/// `CreateTargetGroup`.
struct HealthCheck {
    port: u16,
    path: Option<String>,
    interval: u32,
    timeout: Option<u32>,
    healthy: u32,
    unhealthy: u32,
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 1024 && path.bytes().all(|byte| byte.is_ascii_graphic())
}
