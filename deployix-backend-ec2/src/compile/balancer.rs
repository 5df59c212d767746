//! A load balancer as AWS's own: a network load balancer, a listener for each of its ports, and the
//! machines behind them.

use std::{collections::BTreeMap, num::NonZeroU16};

use deployix_core::{
    ResourceId,
    backend::{CompileError, Owner, Peer, Remark, Resource, Unit},
    spec::{Listener, LoadBalancer, Protocol},
};

use super::{check::HealthCheck, group_of, peer};
use crate::{
    naming,
    network::Net,
    request::{
        Action, AttachLoadBalancerTargetGroups, Attribute, BalancerScheme, CreateListener,
        CreateLoadBalancer, CreateTargetGroup, ForwardTo, LoadBalancerArn, Matcher,
        ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes, RegisterTargets, Request,
        TargetDescription, TargetGroupArn, Value,
    },
    resource::resource,
    settings,
};

/// The protocol of what is balanced: that of the provider's endpoint at a target port.
pub(super) fn protocol(
    unit: &Unit<'_>,
    balancer: &LoadBalancer,
    port: NonZeroU16,
) -> Result<Protocol, CompileError> {
    let endpoints = unit.upstreams.iter().flat_map(|upstream| upstream.endpoints);
    let mut at_port = endpoints.filter(|endpoint| endpoint.endpoint.port == port);
    at_port.next().map(|endpoint| endpoint.endpoint.protocol).ok_or_else(|| {
        let message = format!(
            "it passes connections to port {port}, where {} does not listen",
            balancer.balances
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
    let mut protocols = BTreeMap::new();
    for port in balancer.listeners.target_ports() {
        protocols.insert(port, protocol(unit, balancer, port)?);
    }
    let check = HealthCheck::of(&settings(&balancer.extensions)?, &protocols)?;
    let parts = Parts { unit, balancer, net, place: net.place(0)? };
    let mut made = vec![parts.load_balancer()?, parts.attributes()?];
    for listener in balancer.listeners.iter() {
        let protocol = protocol(unit, balancer, listener.target_port)?;
        made.push(parts.target_group(listener, protocol, &check)?);
        made.push(parts.group_attributes(listener, &check)?);
        let machines = parts.machines(listener)?;
        // Whoever connects is led to machines that are there.
        let before = machines.iter().map(|machine| machine.id().clone()).collect();
        made.extend(machines);
        made.push(parts.listener(listener, protocol, before)?);
    }
    Ok(made)
}

/// The ids of its listeners, which are there once machines behind them serve.
pub(super) fn listeners(
    unit: &Unit<'_>,
    balancer: &LoadBalancer,
    net: &Net<'_>,
) -> Result<Vec<ResourceId>, CompileError> {
    let place = net.place(0)?;
    let id = |listener: Listener| {
        naming::of_functionality(unit.name, &[&listener_name(listener), &place])
    };
    balancer.listeners.iter().map(id).collect()
}

/// AWS knows it by its port as well.
fn listener_name(listener: Listener) -> String {
    format!("listener-{}", listener.source_port)
}

/// `TCP` or `UDP`.
fn transport(protocol: Protocol) -> String {
    protocol.as_str().to_ascii_uppercase()
}

struct Parts<'a, 'b> {
    unit: &'a Unit<'b>,
    balancer: &'a LoadBalancer,
    net: &'a Net<'a>,
    /// Where it is first, as the last segments of ids.
    place: String,
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
        let rest = ["load-balancer", &self.place];
        Ok(Value::output_of(&naming::of_functionality(self.unit.name, &rest)?))
    }

    fn group(&self, listener: Listener) -> Result<Value<TargetGroupArn>, CompileError> {
        let rest = [&*self.group_name(listener)];
        Ok(Value::output_of(&naming::of_functionality(self.unit.name, &rest)?))
    }

    /// Each listener has a target group of its own, called after the listener's port and where its load
    /// balancer is: so that machines may come to serve at another port, one after the other, while the
    /// listener leads to all of them.
    fn group_name(&self, listener: Listener) -> String {
        format!("target-group-{}/{}", listener.source_port, self.place)
    }

    /// The port of what says no other. Machines are registered each with its own, so that it stays
    /// whichever that is (Elastic Load Balancing API Reference, `RegisterTargets`); but for those of an
    /// autoscaling group, which has it from the target group.
    fn default_port(&self, listener: Listener) -> NonZeroU16 {
        if self.unit.upstreams.iter().any(|it| peer::is_autoscaling(&it.site)) {
            listener.target_port
        } else {
            listener.source_port
        }
    }

    /// What cannot be changed about it: who can reach it, and where it is first. AWS takes no other
    /// subnet of a zone where one is (Elastic Load Balancing User Guide for Network Load Balancers,
    /// "Update the Availability Zones"), and it is nowhere without any.
    fn identity(&self) -> String {
        let (_, scheme) = self.scheme();
        format!("{scheme}/{}", self.place)
    }

    /// Who can reach it, and that as a word.
    fn scheme(&self) -> (BalancerScheme, &'static str) {
        if self.balancer.open_to.iter().any(peer::is_public) {
            (BalancerScheme::InternetFacing, "internet-facing")
        } else {
            (BalancerScheme::Internal, "internal")
        }
    }

    fn load_balancer(&self) -> Result<Resource, CompileError> {
        let (scheme, _) = self.scheme();
        let deployment = self.unit.deployment;
        // AWS makes one that faces the internet only where there is a gateway, and holds that.
        let after = match scheme {
            BalancerScheme::Internal => Vec::new(),
            BalancerScheme::InternetFacing => self.net.ways_out()?,
        };
        self.make(&["load-balancer", &self.place], after, |id| {
            let name = naming::short(deployment, self.balancer.name.as_str(), &self.identity());
            Ok(CreateLoadBalancer {
                tags: naming::tags(deployment, &name, id),
                name,
                kind: "network".to_owned(),
                scheme,
                ip_address_type: "ipv4".to_owned(),
                subnets: self.net.subnets.iter().map(|subnet| subnet.id.clone()).collect(),
                security_groups: vec![group_of(self.unit.name, self.net)?],
            }
            .into())
        })
    }

    /// Each zone's part of the load balancer passes connections to the machines of all zones.
    /// Otherwise those of a zone without machines would go nowhere.
    fn attributes(&self) -> Result<Resource, CompileError> {
        self.make(&["load-balancer", &self.place, "attributes"], Vec::new(), |_| {
            let attributes = vec![Attribute {
                key: "load_balancing.cross_zone.enabled".to_owned(),
                value: "true".to_owned(),
            }];
            let load_balancer_arn = self.arn()?;
            Ok(ModifyLoadBalancerAttributes { load_balancer_arn, attributes }.into())
        })
    }

    /// The machines that connections to one port are passed to. A group is behind one load balancer
    /// alone (Elastic Load Balancing User Guide for Network Load Balancers, "Target groups"), so
    /// another load balancer has another group.
    fn target_group(
        &self,
        listener: Listener,
        protocol: Protocol,
        check: &HealthCheck,
    ) -> Result<Resource, CompileError> {
        let (deployment, port) = (self.unit.deployment, self.default_port(listener));
        self.make(&[&self.group_name(listener)], Vec::new(), |id| {
            let vpc = serde_json::to_string(&self.net.vpc)
                .map_err(|error| Remark::new(["name"], error.to_string()))?;
            let of = listener.source_port;
            let identity = format!("{of}/{protocol}/{port}/{vpc}/{}", self.identity());
            let name = naming::short(deployment, self.balancer.name.as_str(), &identity);
            let path = check.path.clone();
            Ok(CreateTargetGroup {
                tags: naming::tags(deployment, &name, id),
                name,
                protocol: transport(protocol),
                port: port.get(),
                vpc_id: self.net.vpc.clone(),
                target_type: "instance".to_owned(),
                health_check_protocol: if path.is_some() { "HTTP" } else { "TCP" }.to_owned(),
                // Otherwise each machine's own.
                health_check_port: check.port.map_or_else(
                    || CreateTargetGroup::EACH_ITS_OWN.to_owned(),
                    |port| port.to_string(),
                ),
                matcher: path.is_some().then(|| Matcher { http_code: "200-399".to_owned() }),
                health_check_path: path,
                health_check_interval_seconds: check.interval,
                health_check_timeout_seconds: check.timeout,
                healthy_threshold_count: check.healthy,
                unhealthy_threshold_count: check.unhealthy,
            }
            .into())
        })
    }

    /// How long machines may end what they are at.
    fn group_attributes(
        &self,
        listener: Listener,
        check: &HealthCheck,
    ) -> Result<Resource, CompileError> {
        self.make(&[&self.group_name(listener), "attributes"], Vec::new(), |_| {
            let attributes = vec![Attribute {
                key: "deregistration_delay.timeout_seconds".to_owned(),
                value: check.deregistration_delay.to_string(),
            }];
            let target_group_arn = self.group(listener)?;
            Ok(ModifyTargetGroupAttributes { target_group_arn, attributes }.into())
        })
    }

    fn listener(
        &self,
        listener: Listener,
        protocol: Protocol,
        after: Vec<ResourceId>,
    ) -> Result<Resource, CompileError> {
        self.make(&[&listener_name(listener), &self.place], after, |id| {
            Ok(CreateListener {
                load_balancer_arn: self.arn()?,
                protocol: transport(protocol),
                port: listener.source_port.get(),
                default_actions: vec![Action {
                    kind: ForwardTo::Forward,
                    target_group_arn: self.group(listener)?,
                }],
                tags: naming::tags(self.unit.deployment, self.balancer.name.as_str(), id),
            }
            .into())
        })
    }

    /// The machines behind a target group, in each of the provider's targets.
    fn machines(&self, listener: Listener) -> Result<Vec<Resource>, CompileError> {
        let all = self.unit.upstreams.iter().map(|upstream| self.provider(upstream, listener));
        Ok(all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The machines of an autoscaling group come together, by the group; all others each by itself, so
    /// that they can be changed in turn.
    fn provider(
        &self,
        upstream: &Peer<'_>,
        listener: Listener,
    ) -> Result<Vec<Resource>, CompileError> {
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
        let group_name = self.group_name(listener);
        let region = self.net.region.as_deref();
        let group = self.group(listener)?;
        if peer::is_autoscaling(&upstream.site) {
            let rest = [group_name.as_str(), "machines", target.as_str()];
            let id = naming::of_functionality(self.unit.name, &rest)?;
            let attach = AttachLoadBalancerTargetGroups {
                auto_scaling_group_name: peer::autoscaling_group(
                    self.unit.deployment,
                    target,
                    self.net,
                ),
                target_group_arns: vec![group],
            };
            let made_before = naming::of_group(target, &self.net.vpc_place, "autoscaling-group")?;
            return Ok(vec![resource(id, owner, region, attach, [made_before])?]);
        }
        let register = |&machine: &u32| {
            let id = naming::registration(self.unit.name, &group_name, target, machine)?;
            let instance = naming::of_machine(target, machine, "instance")?;
            let port = listener.target_port.get();
            let target_description = TargetDescription { id: Value::output_of(&instance), port };
            let request = RegisterTargets {
                target_group_arn: group.clone(),
                targets: vec![target_description],
            };
            let made = resource(id, owner.clone(), region, request, [])?;
            Ok(made.in_turn(target.clone(), machine))
        };
        upstream.machines.iter().map(register).collect()
    }
}
