//! Load balancers, target groups, listeners.

use std::collections::BTreeSet;

use deployix_backend_ec2::{
    engine::{
        call::{Answer, CallError, Query, Write},
        shape::{Listener, LoadBalancer, TargetGroup, TargetHealth},
    },
    request::{
        Action, Attribute, BalancerScheme, CreateListener, CreateLoadBalancer, CreateTargetGroup,
        InstanceId, ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes, RegisterTargets,
        SubnetId, Tag,
    },
};

use super::{
    network::known,
    table::{Result, Thing, new_tags, page, put_tags, refuse},
    world::World,
};

impl Thing for TargetHealth {
    fn tags(&self) -> &[Tag] {
        &[]
    }

    fn tags_mut(&mut self) -> &mut Vec<Tag> {
        unreachable!("targets have no tags")
    }

    fn field(&self, name: &str) -> Option<Vec<String>> {
        // The page is of one group.
        (name == "target-group-arn").then(Vec::new)
    }
}

/// A machine may take part more than once, each time with another port.
pub(crate) fn seat(id: &InstanceId, port: u16) -> String {
    format!("{id}:{port}")
}

/// The attribute that says how long a machine may take to leave, in seconds.
const DELAY: &str = "deregistration_delay.timeout_seconds";

/// State, reason and description (Elastic Load Balancing API Reference, `TargetHealth`).
type How = (&'static str, &'static str, &'static str);

const NOT_IN_USE: How = (
    "unused",
    "Target.NotInUse",
    "Target group is not configured to receive traffic from the load balancer",
);
const STOPPED: How = ("unused", "Target.InvalidState", "Target is in the stopped state");
const INITIAL: How =
    ("initial", "Elb.RegistrationInProgress", "Target registration is in progress");
const ILL: How = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed");
const DRAINING: How =
    ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress");

fn be(health: &mut TargetHealth, (state, reason, description): How) {
    health.state = state.to_owned();
    health.reason = Some(reason.to_owned());
    health.description = Some(description.to_owned());
}

/// This API knows no filters, and refuses to tell of what is not there.
fn only(query: &Query, known: &[&str]) -> Result<()> {
    match query.filters.iter().find(|it| !known.contains(&&*it.name)) {
        Some(filter) => refuse("InvalidConfigurationRequest", &filter.name),
        None => Ok(()),
    }
}

fn without_tags<T: Thing>(mut all: Vec<T>) -> Vec<T> {
    all.iter_mut().for_each(|it| it.tags_mut().clear());
    all
}

impl World {
    fn arn(&mut self, what: &str) -> String {
        let id = self.id("x");
        format!("arn:aws:elasticloadbalancing:{}:1:{what}/{}", self.region, &id[2..])
    }

    pub(super) fn balancers(&mut self, query: &Query) -> Result<Answer> {
        only(query, &["load-balancer-arn"])?;
        for arn in query.filters.iter().flat_map(|it| &it.values) {
            self.balancers.get(arn, "LoadBalancerNotFound")?;
        }
        let mut answer = self.balancers.page(query, self.page)?;
        answer.items = without_tags(answer.items);
        Ok(Answer::LoadBalancer(answer))
    }

    pub(super) fn target_groups(&mut self, query: &Query) -> Result<Answer> {
        only(query, &["target-group-arn"])?;
        for arn in query.filters.iter().flat_map(|it| &it.values) {
            self.target_groups.get(arn, "TargetGroupNotFound")?;
        }
        let mut answer = self.target_groups.page(query, self.page)?;
        answer.items = without_tags(answer.items);
        Ok(Answer::TargetGroup(answer))
    }

    pub(super) fn listeners(&mut self, query: &Query) -> Result<Answer> {
        only(query, &["load-balancer-arn", "listener-arn"])?;
        if query.filters.is_empty() {
            return refuse("ValidationError", "a load balancer or listeners must be named");
        }
        for filter in &query.filters {
            for arn in &filter.values {
                if filter.name == "listener-arn" {
                    self.listeners.get(arn, "ListenerNotFound")?;
                } else {
                    self.balancers.get(arn, "LoadBalancerNotFound")?;
                }
            }
        }
        let mut answer = self.listeners.page(query, self.page)?;
        answer.items = without_tags(answer.items);
        Ok(Answer::Listener(answer))
    }

    pub(super) fn target_health(&mut self, query: &Query) -> Result<Answer> {
        only(query, &["target-group-arn"])?;
        let arn = &query.filters[0].values[0];
        self.target_groups.get(arn, "TargetGroupNotFound")?;
        let all = self.targets[arn].all().cloned().collect();
        Ok(Answer::TargetHealth(page(all, query, self.page)?))
    }

    /// Every machine of every target group.
    pub(crate) fn behind(&self) -> impl Iterator<Item = &TargetHealth> {
        self.targets.values().flat_map(|targets| targets.all())
    }

    pub(super) fn tags_of(&mut self, arns: &[String]) -> Result<Answer> {
        if arns.is_empty() || arns.len() > 20 {
            return refuse("ValidationError", "1 to 20 resources");
        }
        let mut all = Vec::new();
        for arn in arns {
            all.push((arn.clone(), self.balancing_tags(arn)?.clone()));
        }
        Ok(Answer::Tags(all))
    }

    fn balancing_tags(&mut self, arn: &str) -> Result<&mut Vec<Tag>> {
        Ok(if arn.contains(":loadbalancer/") {
            &mut self.balancers.get(arn, "LoadBalancerNotFound")?.it.tags
        } else if arn.contains(":targetgroup/") {
            &mut self.target_groups.get(arn, "TargetGroupNotFound")?.it.tags
        } else {
            &mut self.listeners.get(arn, "ListenerNotFound")?.it.tags
        })
    }

    pub(super) fn create_balancer(&mut self, it: &CreateLoadBalancer) -> Result<String> {
        if it.name.len() > 32 || it.name.starts_with("internal-") {
            return refuse("ValidationError", &it.name);
        }
        let subnets: Vec<_> = it.subnets.iter().map(|it| known(it).clone()).collect();
        let groups: Vec<_> = it.security_groups.iter().map(|it| known(it).clone()).collect();
        if let Some(other) = self.balancers.all().find(|other| other.load_balancer_name == it.name)
        {
            // The same again is no error: it tells of the one that is there.
            let same = other.scheme == it.scheme && other.subnets == subnets;
            let tags: BTreeSet<_> = other.tags.iter().collect();
            if same && it.tags.iter().all(|tag| tags.contains(tag)) {
                return Ok(other.load_balancer_arn.clone());
            }
            return refuse("DuplicateLoadBalancerName", &it.name);
        }
        let arn = self.arn(&format!("loadbalancer/net/{}", it.name));
        let name = arn.split_once("loadbalancer/").unwrap().1;
        for subnet in &subnets {
            let vpc = self.subnets.get(subnet.as_str(), "SubnetNotFound")?.it.vpc_id.clone();
            let has_gateway = self.gateways.all().any(|it| it.attachments.contains(&vpc));
            if it.scheme == BalancerScheme::InternetFacing && !has_gateway {
                return refuse("InvalidSubnet", format!("{vpc} has no internet gateway"));
            }
            self.check_groups(&groups, subnet)?;
        }
        for subnet in &subnets {
            let description = format!("ELB {name}");
            let id = self.new_interface(subnet, &description, groups.clone(), Vec::new())?;
            self.interfaces.entry(&id).unwrap().instead().it.status = "in-use".to_owned();
        }
        let balancer = LoadBalancer {
            load_balancer_arn: arn.clone(),
            load_balancer_name: it.name.clone(),
            scheme: it.scheme,
            dns_name: format!("{}.elb.{}.amazonaws.com", name.replace('/', "-"), self.region),
            canonical_hosted_zone_id: "Z1LOADBALANCERS".to_owned(),
            state: "provisioning".to_owned(),
            state_reason: None,
            subnets,
            security_groups: groups,
            tags: new_tags(&it.tags)?,
        };
        let entry = self.balancers.add(&arn, balancer, self.late);
        entry.then(60, |it| it.state = "active".to_owned());
        let off = Attribute {
            key: "load_balancing.cross_zone.enabled".to_owned(),
            value: "false".to_owned(),
        };
        self.attributes.insert(arn.clone(), vec![off]);
        Ok(arn)
    }

    /// In a zone where it is, it takes no other subnet (Elastic Load Balancing User Guide for Network
    /// Load Balancers, "Update the Availability Zones").
    fn set_subnets(&mut self, arn: &str, subnets: &[SubnetId]) -> Result<()> {
        let balancer = self.balancers.get(arn, "LoadBalancerNotFound")?.it.clone();
        let zone = |world: &mut Self, subnet: &SubnetId| {
            let subnet = world.subnets.get(subnet.as_str(), "SubnetNotFound")?;
            Ok::<_, CallError>(subnet.it.availability_zone.clone())
        };
        let description = format!("ELB {}", arn.split_once("loadbalancer/").unwrap().1);
        for subnet in subnets.iter().filter(|it| !balancer.subnets.contains(it)) {
            let own = zone(self, subnet)?;
            for other in &balancer.subnets {
                if zone(self, other)? == own {
                    let message = format!("{own} is already associated with the load balancer");
                    return refuse("InvalidConfigurationRequest", message);
                }
            }
            let groups = balancer.security_groups.clone();
            let id = self.new_interface(subnet, &description, groups, Vec::new())?;
            self.interfaces.entry(&id).unwrap().instead().it.status = "in-use".to_owned();
        }
        let left: Vec<_> = self
            .interfaces
            .all()
            .filter(|it| it.description == description && !subnets.contains(&it.subnet_id))
            .map(|it| it.network_interface_id.clone())
            .collect();
        for id in left {
            self.interfaces.remove(id.as_str());
        }
        self.balancers.entry(arn).unwrap().it.subnets = subnets.to_vec();
        Ok(())
    }

    pub(super) fn modify_attributes(
        &mut self,
        it: &ModifyLoadBalancerAttributes,
    ) -> Result<String> {
        let arn = &known(&it.load_balancer_arn).0;
        self.balancers.get(arn, "LoadBalancerNotFound")?;
        self.put_attributes(arn, &it.attributes);
        Ok(String::new())
    }

    pub(super) fn modify_group_attributes(
        &mut self,
        it: &ModifyTargetGroupAttributes,
    ) -> Result<String> {
        let arn = &known(&it.target_group_arn).0;
        self.target_groups.get(arn, "TargetGroupNotFound")?;
        for Attribute { key, value } in &it.attributes {
            let delay = value.parse().is_ok_and(|seconds| (0..=3600).contains(&seconds));
            if key != DELAY || !delay {
                return refuse("InvalidConfigurationRequest", format!("{key} {value}"));
            }
        }
        self.put_attributes(arn, &it.attributes);
        Ok(String::new())
    }

    fn put_attributes(&mut self, arn: &str, attributes: &[Attribute]) {
        let has = self.attributes.get_mut(arn).unwrap();
        for new in attributes {
            has.retain(|other| other.key != new.key);
            has.push(new.clone());
        }
    }

    pub(super) fn create_target_group(&mut self, it: &CreateTargetGroup) -> Result<String> {
        let vpc = known(&it.vpc_id);
        self.vpcs.get(vpc.as_str(), "ValidationError")?;
        if it.name.len() > 32 {
            return refuse("ValidationError", &it.name);
        }
        if let Some(other) = self.target_groups.all().find(|other| other.settings.name == it.name) {
            let settings = CreateTargetGroup { tags: Vec::new(), ..it.clone() };
            return if other.settings == settings {
                Ok(other.target_group_arn.clone())
            } else {
                refuse("DuplicateTargetGroupName", &it.name)
            };
        }
        let arn = self.arn(&format!("targetgroup/{}", it.name));
        let group = TargetGroup {
            target_group_arn: arn.clone(),
            settings: CreateTargetGroup { tags: Vec::new(), ..it.clone() },
            tags: new_tags(&it.tags)?,
        };
        self.target_groups.add(&arn, group, self.late);
        let delay = Attribute { key: DELAY.to_owned(), value: "300".to_owned() };
        self.attributes.insert(arn.clone(), vec![delay]);
        self.targets.insert(arn.clone(), super::table::Table::default());
        Ok(arn)
    }

    /// A target group is behind one load balancer alone.
    fn check_actions(&mut self, balancer: &str, actions: &[Action]) -> Result<()> {
        for arn in actions.iter().map(|action| &known(&action.target_group_arn).0) {
            self.target_groups.get(arn, "TargetGroupNotFound")?;
            let others = self.listeners.all().filter(|it| it.load_balancer_arn != balancer);
            let mut actions = others.flat_map(|it| &it.default_actions);
            if actions.any(|it| known(&it.target_group_arn).0 == *arn) {
                return refuse("TargetGroupAssociationLimit", arn);
            }
        }
        Ok(())
    }

    /// A listener, whoever adds it.
    pub(crate) fn add_listener(&mut self, listener: Listener) {
        let listener_arn = self.arn("listener/net");
        let at_once = self.late.at_once();
        self.listeners.add(listener_arn.clone(), Listener { listener_arn, ..listener }, at_once);
    }

    pub(super) fn create_listener(&mut self, it: &CreateListener) -> Result<String> {
        let balancer = known(&it.load_balancer_arn).0.clone();
        self.balancers.get(&balancer, "LoadBalancerNotFound")?;
        self.check_actions(&balancer, &it.default_actions)?;
        let same = |other: &Listener| other.load_balancer_arn == balancer && other.port == it.port;
        if self.listeners.all().any(same) {
            return refuse("DuplicateListener", it.port);
        }
        let arn = self.arn("listener/net");
        let listener = Listener {
            listener_arn: arn.clone(),
            load_balancer_arn: balancer,
            port: it.port,
            protocol: it.protocol.clone(),
            default_actions: it.default_actions.clone(),
            tags: new_tags(&it.tags)?,
        };
        self.listeners.add(&arn, listener, self.late);
        Ok(arn)
    }

    pub(super) fn register(&mut self, it: &RegisterTargets) -> Result<String> {
        let arn = known(&it.target_group_arn).0.clone();
        let group = &self.target_groups.get(&arn, "TargetGroupNotFound")?.it.settings;
        let vpc = known(&group.vpc_id).clone();
        for target in &it.targets {
            let id = known(&target.id);
            let running = self.instances.all().find(|it| it.instance_id == *id);
            let Some(running) = running.filter(|it| it.state == "running") else {
                return refuse("InvalidTarget", format!("{id} is not running"));
            };
            let mut own = self.interfaces.all();
            if own.any(|it| {
                running.network_interfaces.contains(&it.network_interface_id) && it.vpc_id != vpc
            }) {
                return refuse("InvalidTarget", format!("{id} is not in the target group VPC"));
            }
        }
        for target in &it.targets {
            self.put_target(&arn, known(&target.id), target.port);
        }
        Ok(String::new())
    }

    pub(crate) fn put_target(&mut self, arn: &str, id: &InstanceId, port: u16) {
        let late = self.late;
        let mut health = TargetHealth {
            id: id.clone(),
            port,
            state: String::new(),
            reason: None,
            description: None,
        };
        be(&mut health, NOT_IN_USE);
        let Some(targets) = self.targets.get_mut(arn) else { return };
        let is_in = |it: &&TargetHealth| it.id == *id && it.port == port && it.state != "draining";
        // Who is in already stays as they are.
        if !targets.all().any(|it| is_in(&it)) {
            targets.add(seat(id, port), health, late);
        }
    }

    /// A machine of an autoscaling group gets behind a target group.
    pub(super) fn enter(&mut self, arn: &str, id: &InstanceId) {
        let Some(group) = self.target_groups.entry(arn) else { return };
        let port = group.it.settings.port;
        if self.targets.get_mut(arn).is_some_and(|it| it.entry(&seat(id, port)).is_none()) {
            self.put_target(arn, id, port);
        }
    }

    /// A machine ends what it is at, at whatever port, and leaves.
    pub(super) fn drain(&mut self, arn: &str, id: &InstanceId) {
        let own = self.targets.get(arn).into_iter().flat_map(|all| all.all());
        let ports: Vec<_> = own.filter(|it| it.id == *id).map(|it| it.port).collect();
        ports.into_iter().for_each(|port| self.drain_at(arn, id, port));
    }

    /// A machine ends what it is at, and leaves; one that nobody is led to leaves at once.
    fn drain_at(&mut self, arn: &str, id: &InstanceId, port: u16) {
        let delay = self.attributes.get(arn).and_then(|all| all.iter().find(|it| it.key == DELAY));
        let delay = delay.map_or(300, |it| it.value.parse().unwrap());
        let targets = self.targets.get_mut(arn);
        if let Some(entry) = targets.and_then(|it| it.entry(&seat(id, port)))
            && entry.it.state != "draining"
        {
            let delay = if entry.it.state == "unused" { 0 } else { delay };
            be(&mut entry.it, DRAINING);
            entry.instead().gone_after(delay);
        }
    }

    pub(super) fn check_targets(&mut self) {
        let in_state = |states: &[&str]| {
            let all = self.instances.all().filter(|it| states.contains(&&*it.state));
            all.map(|it| it.instance_id.clone()).collect::<BTreeSet<_>>()
        };
        let (ended, stopped) =
            (in_state(&["shutting-down", "terminated"]), in_state(&["stopping", "stopped"]));
        let groups: Vec<_> = self.targets.keys().cloned().collect();
        for arn in groups {
            ended.iter().for_each(|id| self.drain(&arn, id));
            let leads = |it: &Listener| {
                it.default_actions.iter().any(|it| known(&it.target_group_arn).0 == arn)
            };
            let is_led_to = self.listeners.shown().any(leads);
            let group = self.target_groups.entry(&arn).unwrap();
            let checked_at = group.it.settings.health_check_port.clone();
            let mute: BTreeSet<_> = self
                .instances
                .all()
                .filter(|it| self.mute.contains(&it.instance_type))
                .map(|it| it.instance_id.clone())
                .collect();
            let targets = self.targets.get_mut(&arn).unwrap();
            if !self.stuck.contains_key("targets") {
                targets.tick();
            }
            let all: Vec<_> = targets.all().map(|it| (it.id.clone(), it.port)).collect();
            for (id, port) in all {
                let checked_at = if checked_at == CreateTargetGroup::EACH_ITS_OWN {
                    port
                } else {
                    checked_at.parse().unwrap()
                };
                let answers = !mute.contains(&id) && !self.silent.contains(&checked_at);
                let entry = targets.entry(&seat(&id, port)).unwrap();
                let (state, reason) = (&*entry.it.state, entry.it.reason.as_deref());
                match (state, reason) {
                    ("draining", _) => {}
                    _ if stopped.contains(&id) => be(&mut entry.instead().it, STOPPED),
                    _ if !is_led_to => be(&mut entry.instead().it, NOT_IN_USE),
                    ("unused", _) => {
                        be(&mut entry.it, INITIAL);
                        entry.then(20, |it| be(it, ILL));
                    }
                    ("healthy", _) if !answers => be(&mut entry.it, ILL),
                    ("unhealthy", _) if answers => {
                        (entry.it.reason, entry.it.description) = (None, None);
                        entry.it.state = "healthy".to_owned();
                    }
                    _ => {}
                }
            }
        }
    }

    pub(super) fn write_balancing(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::AddTags { resource_arns, tags } => {
                for arn in resource_arns {
                    put_tags(self.balancing_tags(arn)?, tags)?;
                }
            }
            Write::RemoveTags { resource_arns, tag_keys } => {
                for arn in resource_arns {
                    self.balancing_tags(arn)?.retain(|it| !tag_keys.contains(&it.key));
                }
            }
            Write::SetSubnets { load_balancer_arn, subnets } => {
                self.set_subnets(load_balancer_arn, subnets)?;
            }
            Write::SetSecurityGroups { load_balancer_arn, security_groups } => {
                let entry = self.balancers.get(load_balancer_arn, "LoadBalancerNotFound")?;
                entry.it.security_groups.clone_from(security_groups);
            }
            Write::DeleteLoadBalancer { load_balancer_arn: arn } => {
                // One that is not there is no error (API Reference, `DeleteLoadBalancer`).
                self.balancers.remove(arn);
                let own: Vec<_> = self.listeners.all().cloned().collect();
                for listener in own.iter().filter(|it| it.load_balancer_arn == *arn) {
                    self.listeners.remove(&listener.listener_arn);
                }
                let description = format!("ELB {}", arn.split_once("loadbalancer/").unwrap().1);
                let interfaces: Vec<_> = self.interfaces.all().cloned().collect();
                for it in interfaces.iter().filter(|it| it.description == description) {
                    let id = it.network_interface_id.as_str();
                    self.interfaces.entry(id).unwrap().gone_after(240);
                }
            }
            Write::ModifyTargetGroup { target_group_arn, health_check } => {
                let entry = self.target_groups.get(target_group_arn, "TargetGroupNotFound")?;
                let tags = Vec::new();
                entry.it.settings = CreateTargetGroup { tags, ..(**health_check).clone() };
            }
            Write::DeleteTargetGroup { target_group_arn } => {
                self.target_groups.get(target_group_arn, "TargetGroupNotFound")?;
                let uses = |it: &Listener| {
                    let mut actions = it.default_actions.iter();
                    actions.any(|it| known(&it.target_group_arn).0 == *target_group_arn)
                };
                if self.listeners.all().any(uses) {
                    return refuse("ResourceInUse", target_group_arn);
                }
                self.target_groups.remove(target_group_arn);
                self.attributes.remove(target_group_arn);
                self.targets.remove(target_group_arn);
            }
            Write::ModifyListener { listener_arn, port, protocol, default_actions } => {
                let entry = self.listeners.get(listener_arn, "ListenerNotFound")?;
                let balancer = entry.it.load_balancer_arn.clone();
                self.check_actions(&balancer, default_actions)?;
                let entry = self.listeners.get(listener_arn, "ListenerNotFound")?;
                entry.it.port = *port;
                entry.it.protocol.clone_from(protocol);
                entry.it.default_actions.clone_from(default_actions);
            }
            Write::DeleteListener { listener_arn } => {
                self.listeners.get(listener_arn, "ListenerNotFound")?;
                self.listeners.remove(listener_arn);
            }
            Write::DeregisterTargets { target_group_arn, targets } => {
                self.target_groups.get(target_group_arn, "TargetGroupNotFound")?;
                for target in targets {
                    self.drain_at(target_group_arn, known(&target.id), target.port);
                }
            }
            other => return refuse("InvalidAction", other.operation()),
        }
        Ok(())
    }
}
