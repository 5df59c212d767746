//! [`World`]: what is in one region, and who answers which call.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use deployix_backend_ec2::{
    engine::{
        call::{Answer, Call, CallError, Read, Write},
        shape::{
            Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate,
            LaunchTemplateVersion, Listener, LoadBalancer, NetworkInterface, Parameter, RouteTable,
            SecurityGroup, SecurityGroupRule, Subnet, TargetGroup, TargetHealth, Volume, Vpc,
        },
    },
    request::{Attribute, Request, Service, Tag},
};

use super::table::{Delay, Result, Table, Thing, put_tags, refuse};

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(super) region: String,
    pub(super) page: usize,
    /// How the next new thing comes to be seen.
    pub(super) late: Delay,
    made: u64,
    /// What was made with a token, and what was asked for then.
    tokens: BTreeMap<String, (String, String)>,
    pub(crate) vpcs: Table<Vpc>,
    pub(crate) subnets: Table<Subnet>,
    pub(crate) gateways: Table<InternetGateway>,
    pub(crate) tables: Table<RouteTable>,
    pub(crate) groups: Table<SecurityGroup>,
    pub(crate) rules: Table<SecurityGroupRule>,
    pub(crate) interfaces: Table<NetworkInterface>,
    pub(crate) addresses: Table<Address>,
    pub(crate) volumes: Table<Volume>,
    pub(crate) templates: Table<LaunchTemplate>,
    pub(super) template_data: BTreeMap<String, deployix_backend_ec2::request::CreateLaunchTemplate>,
    pub(crate) instances: Table<Instance>,
    /// What each was told at its first boot, in base64.
    pub(crate) user_data: BTreeMap<String, String>,
    pub(crate) protected: BTreeSet<String>,
    /// Interfaces that go with their machine.
    pub(super) fleeting: BTreeSet<String>,
    /// Root disks, and whose.
    pub(crate) roots: BTreeMap<String, String>,
    pub(crate) scaling: Table<AutoScalingGroup>,
    pub(super) refreshes: BTreeMap<String, tokio::time::Instant>,
    pub(crate) balancers: Table<LoadBalancer>,
    /// Of load balancers and target groups.
    pub(crate) attributes: BTreeMap<String, Vec<Attribute>>,
    pub(crate) target_groups: Table<TargetGroup>,
    pub(crate) targets: BTreeMap<String, Table<TargetHealth>>,
    pub(crate) listeners: Table<Listener>,
    /// Ports at which no machine listens.
    pub(crate) silent: BTreeSet<u16>,
    pub(super) parameters: Table<Parameter>,
    /// What parameters say, by their names.
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) buckets: super::storage::Buckets,
    /// Types of machines at which nothing listens.
    pub(crate) mute: BTreeSet<String>,
    /// Images whose machines end while they begin.
    pub(crate) broken: BTreeSet<String>,
    /// Types of which there are no machines to give.
    pub(crate) scarce: BTreeSet<String>,
    /// How many machines the quota takes beside those that it takes at first.
    pub(crate) more: usize,
    /// Kinds of things that stay as they are, of which none goes, and why AWS says so where it tells.
    pub(crate) stuck: BTreeMap<&'static str, &'static str>,
    /// Images that are not there.
    pub(crate) images: BTreeSet<String>,
    /// Instance profiles that are known only from then on; all others are known.
    pub(crate) profiles: BTreeMap<String, tokio::time::Instant>,
}

macro_rules! things {
    ($($type:ident { $($name:literal: $it:ident => $values:expr;)* })*) => {$(
        impl Thing for $type {
            fn tags(&self) -> &[Tag] {
                &self.tags
            }

            fn tags_mut(&mut self) -> &mut Vec<Tag> {
                &mut self.tags
            }

            fn field(&self, name: &str) -> Option<Vec<String>> {
                match name {
                    $($name => {
                        let $it = self;
                        Some($values)
                    })*
                    _ => None,
                }
            }
        }
    )*};
}

things! {
    Vpc { "vpc-id": it => vec![it.vpc_id.to_string()]; }
    Subnet { "subnet-id": it => vec![it.subnet_id.to_string()]; }
    InternetGateway { "internet-gateway-id": it => vec![it.internet_gateway_id.to_string()]; }
    RouteTable {
        "route-table-id": it => vec![it.route_table_id.to_string()];
        "association.subnet-id": it => {
            it.associations.iter().map(|one| one.subnet_id.to_string()).collect()
        };
    }
    SecurityGroup { "group-id": it => vec![it.group_id.to_string()]; }
    SecurityGroupRule {
        "group-id": it => vec![it.group_id.to_string()];
        "security-group-rule-id": it => vec![it.security_group_rule_id.clone()];
    }
    NetworkInterface {
        "network-interface-id": it => vec![it.network_interface_id.to_string()];
        "vpc-id": it => vec![it.vpc_id.to_string()];
        "attachment.instance-id": it => it.instance_id.iter().map(ToString::to_string).collect();
        "subnet-id": it => vec![it.subnet_id.to_string()];
        "group-id": it => it.groups.iter().map(ToString::to_string).collect();
        "description": it => vec![it.description.clone()];
    }
    Address { "allocation-id": it => vec![it.allocation_id.to_string()]; }
    Volume { "volume-id": it => vec![it.volume_id.to_string()]; }
    LaunchTemplate { "launch-template-id": it => vec![it.launch_template_id.clone()]; }
    Instance { "instance-id": it => vec![it.instance_id.to_string()]; }
    AutoScalingGroup { "auto-scaling-group-name": it => vec![it.auto_scaling_group_name.clone()]; }
    LoadBalancer { "load-balancer-arn": it => vec![it.load_balancer_arn.clone()]; }
    Parameter { "Name": it => vec![it.name.clone()]; }
    TargetGroup { "target-group-arn": it => vec![it.target_group_arn.clone()]; }
    Listener {
        "listener-arn": it => vec![it.listener_arn.clone()];
        "load-balancer-arn": it => vec![it.load_balancer_arn.clone()];
    }
}

impl World {
    /// A new id of 17 digits.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}-{:017x}", self.made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4)
    }

    /// The next free address of a subnet: AWS keeps the first four for itself.
    pub(super) fn free_address(&self, range: ipnet::Ipv4Net) -> Ipv4Addr {
        let taken: BTreeSet<_> = self.interfaces.all().map(|it| it.private_ip_address).collect();
        range.hosts().skip(3).find(|address| !taken.contains(address)).unwrap()
    }

    pub(super) fn tick(&mut self) {
        self.vpcs.tick();
        self.volumes.tick();
        self.scaling.tick();
        if !self.stuck.contains_key("interfaces") {
            self.interfaces.tick();
        }
        match self.stuck.get("instances") {
            None => self.instances.tick(),
            Some(why) => {
                let reason = Some((*why).to_owned());
                self.instances.all_mut().for_each(|it| it.state_reason.clone_from(&reason));
            }
        }
        match self.stuck.get("balancers") {
            None => self.balancers.tick(),
            Some(why) => {
                let reason = Some((*why).to_owned());
                self.balancers.all_mut().for_each(|it| it.state_reason.clone_from(&reason));
            }
        }
        self.machines_that_ended();
        self.scale();
        self.check_targets();
    }

    pub(crate) fn call(&mut self, call: &Call) -> Result<Answer> {
        match call {
            Call::Create { request, client_token } => self.make(request, client_token.as_deref()),
            Call::Write(write) => self.write(write).map(|()| Answer::Done),
            Call::Read(read) => self.read(read),
            Call::DryRun(call) if call.service() != Service::Ec2 => {
                refuse("InvalidAction", call.operation())
            }
            Call::DryRun(call) => {
                self.check(call)?;
                refuse(CallError::WOULD_BE_DONE, "it would have succeeded")
            }
        }
    }

    /// What AWS finds out about a call without carrying it out.
    fn check(&mut self, call: &Call) -> Result<()> {
        if let Call::Create { request, .. } = call
            && let Request::RunInstances(it) = &**request
        {
            return self.check_machines(it);
        }
        // Placeholders are nobody's, which AWS says in many words.
        if !format!("{call:?}").contains("-00000000000000000") {
            return Ok(());
        }
        let code = match call {
            Call::Write(Write::CreateTags { .. } | Write::DeleteTags { .. }) => "InvalidID",
            Call::Write(_) => "InvalidParameterValue",
            _ => "InvalidID.NotFound",
        };
        refuse(code, call.operation())
    }

    fn make(&mut self, request: &Request, token: Option<&str>) -> Result<Answer> {
        if let Request::PutParameter(it) = request {
            return self.put_parameter(it).map(Answer::Made);
        }
        let asked = request.parameters().unwrap().to_string();
        if asked.contains("$output") {
            return refuse("InvalidParameterValue", asked);
        }
        if let Some((before, id)) = token.and_then(|token| self.tokens.get(token)) {
            return if *before == asked {
                Ok(Answer::Made(id.clone()))
            } else {
                refuse("IdempotentParameterMismatch", before)
            };
        }
        let made = match request {
            Request::CreateVpc(it) => self.create_vpc(it),
            Request::CreateSubnet(it) => self.create_subnet(it),
            Request::CreateInternetGateway(it) => self.create_gateway(it),
            Request::AttachInternetGateway(it) => self.attach_gateway(it),
            Request::CreateRouteTable(it) => self.create_table(it),
            Request::CreateRoute(it) => self.create_route(it),
            Request::AssociateRouteTable(it) => self.associate_table(it),
            Request::CreateSecurityGroup(it) => self.create_group(it),
            Request::AuthorizeSecurityGroupIngress(it) => {
                self.authorize(&it.group_id, &it.ip_permissions, &it.tag_specifications, false)
            }
            Request::AuthorizeSecurityGroupEgress(it) => {
                self.authorize(&it.group_id, &it.ip_permissions, &it.tag_specifications, true)
            }
            Request::CreateNetworkInterface(it) => self.create_interface(it),
            Request::AllocateAddress(it) => self.allocate(it),
            Request::AssociateAddress(it) => self.associate_address(it),
            Request::CreateVolume(it) => self.create_volume(it),
            Request::AttachVolume(it) => self.attach_volume(it),
            Request::CreateLaunchTemplate(it) => self.create_template(it),
            Request::RunInstances(it) => self.run_instances(it),
            Request::CreateAutoScalingGroup(it) => self.create_scaling(it),
            Request::AttachLoadBalancerTargetGroups(it) => self.attach_target_groups(it),
            Request::CreateLoadBalancer(it) => self.create_balancer(it),
            Request::ModifyLoadBalancerAttributes(it) => self.modify_attributes(it),
            Request::CreateTargetGroup(it) => self.create_target_group(it),
            Request::ModifyTargetGroupAttributes(it) => self.modify_group_attributes(it),
            Request::CreateListener(it) => self.create_listener(it),
            Request::RegisterTargets(it) => self.register(it),
            Request::RevokeSecurityGroupEgress(_)
            | Request::RenderUserData(_)
            | Request::ChangeResourceRecordSets(_)
            | Request::StageUserData(_)
            | Request::PutParameter(_) => refuse("InvalidAction", request.operation()),
        }?;
        if let Some(token) = token {
            if token.len() > 64 {
                return refuse("InvalidParameterValue", token);
            }
            self.tokens.insert(token.to_owned(), (asked, made.clone()));
        }
        Ok(if made.is_empty() { Answer::Done } else { Answer::Made(made) })
    }

    fn read(&mut self, read: &Read) -> Result<Answer> {
        Ok(match read {
            Read::DescribeVpcs(query) => Answer::Vpc(self.vpcs.page(query, self.page)?),
            Read::DescribeSubnets(query) => Answer::Subnet(self.subnets.page(query, self.page)?),
            Read::DescribeInternetGateways(query) => {
                Answer::InternetGateway(self.gateways.page(query, self.page)?)
            }
            Read::DescribeRouteTables(query) => {
                Answer::RouteTable(self.tables.page(query, self.page)?)
            }
            Read::DescribeSecurityGroups(query) => {
                Answer::SecurityGroup(self.groups.page(query, self.page)?)
            }
            Read::DescribeSecurityGroupRules(query) => {
                Answer::SecurityGroupRule(self.rules.page(query, self.page)?)
            }
            Read::DescribeNetworkInterfaces(query) => {
                Answer::NetworkInterface(self.interfaces.page(query, self.page)?)
            }
            Read::DescribeAddresses(query) => {
                Answer::Address(self.addresses.page(query, self.page)?)
            }
            Read::DescribeVolumes(query) => Answer::Volume(self.volumes.page(query, self.page)?),
            Read::DescribeLaunchTemplates(query) => {
                // Those that are named have to be there.
                let named = query.filters.iter().filter(|it| it.name == "launch-template-id");
                for id in named.flat_map(|it| &it.values) {
                    self.templates.get(id, "InvalidLaunchTemplateId.NotFound")?;
                }
                Answer::LaunchTemplate(self.templates.page(query, self.page)?)
            }
            Read::DescribeLaunchTemplateVersions(query) => {
                let version = |it: &LaunchTemplate| {
                    let data = &self.template_data[&it.launch_template_name].launch_template_data;
                    LaunchTemplateVersion {
                        launch_template_id: it.launch_template_id.clone(),
                        user_data: data.user_data.known().map(ToString::to_string),
                        disable_api_termination: data.disable_api_termination,
                    }
                };
                let ids = query.filters.iter().filter(|it| it.name == "launch-template-id");
                let ids: Vec<_> = ids.flat_map(|it| &it.values).collect();
                let wanted =
                    |it: &&LaunchTemplate| ids.is_empty() || ids.contains(&&it.launch_template_id);
                let all = self.templates.all().filter(wanted).map(version).collect();
                Answer::LaunchTemplateVersion(super::table::page(all, query, self.page)?)
            }
            Read::DescribeInstances(query) => {
                Answer::Instance(self.instances.page(query, self.page)?)
            }
            Read::DescribeInstanceStatus { instance_id } => {
                let instance =
                    self.instances.get(instance_id.as_str(), "InvalidInstanceID.NotFound")?;
                Answer::State(Some(instance.it.status.clone()))
            }
            Read::DescribeInstanceAttribute { instance_id } => {
                let id = instance_id.as_str();
                self.instances.get(id, "InvalidInstanceID.NotFound")?;
                let value = self.protected.contains(id).to_string();
                Answer::Attributes(vec![Attribute::new(Attribute::PROTECTED, value)])
            }
            Read::DescribeAutoScalingGroups(query) => {
                Answer::AutoScalingGroup(self.scaling.page(query, self.page)?)
            }
            Read::DescribeInstanceRefreshes { auto_scaling_group_name } => {
                let under_way = self.refreshes.contains_key(auto_scaling_group_name);
                Answer::State(under_way.then(|| "InProgress".to_owned()))
            }
            Read::DescribeLoadBalancers(query) => self.balancers(query)?,
            Read::DescribeTargetGroups(query) => self.target_groups(query)?,
            Read::DescribeListeners(query) => self.listeners(query)?,
            Read::DescribeTargetHealth(query) => self.target_health(query)?,
            Read::DescribeParameters(query) => self.describe_parameters(query)?,
            Read::ListTagsForResource { resource_id } => self.tags_of_parameter(resource_id)?,
            Read::ListResourceRecordSets(_) | Read::GetChange { .. } => {
                return refuse("InvalidAction", read.operation());
            }
            Read::DescribeTags { resource_arns } => self.tags_of(resource_arns)?,
            Read::ListObjectsV2(query) => Answer::Object(self.objects(query)?),
            Read::GetObjectTagging { bucket, key } => self.object_tags(bucket, key)?,
            Read::DescribeLoadBalancerAttributes { load_balancer_arn } => {
                self.balancers.get(load_balancer_arn, "LoadBalancerNotFound")?;
                Answer::Attributes(self.attributes[load_balancer_arn].clone())
            }
            Read::DescribeTargetGroupAttributes { target_group_arn } => {
                self.target_groups.get(target_group_arn, "TargetGroupNotFound")?;
                Answer::Attributes(self.attributes[target_group_arn].clone())
            }
        })
    }

    fn write(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::CreateTags { resources, tags } => {
                for id in resources {
                    put_tags(self.tags_mut(id)?, tags)?;
                }
                Ok(())
            }
            Write::DeleteTags { resources, tag_keys } => {
                for id in resources {
                    self.tags_mut(id)?.retain(|tag| !tag_keys.contains(&tag.key));
                }
                Ok(())
            }
            _ => match write.service() {
                Service::Ec2 => match self.write_network(write) {
                    Some(done) => done,
                    None => self.write_machine(write),
                },
                Service::Ssm => self.write_parameter(write),
                Service::S3 => self.write_storage(write),
                Service::AutoScaling => self.write_scaling(write),
                _ => self.write_balancing(write),
            },
        }
    }

    fn tags_mut(&mut self, id: &str) -> Result<&mut Vec<Tag>> {
        let prefix = id.split('-').next().unwrap_or_default();
        Ok(match prefix {
            "vpc" => self.vpcs.get(id, "InvalidVpcID.NotFound")?.it.tags_mut(),
            "subnet" => self.subnets.get(id, "InvalidSubnetID.NotFound")?.it.tags_mut(),
            "igw" => self.gateways.get(id, "InvalidInternetGatewayID.NotFound")?.it.tags_mut(),
            "rtb" => self.tables.get(id, "InvalidRouteTableID.NotFound")?.it.tags_mut(),
            "sg" => self.groups.get(id, "InvalidGroup.NotFound")?.it.tags_mut(),
            "sgr" => self.rules.get(id, "InvalidSecurityGroupRuleId.NotFound")?.it.tags_mut(),
            "eni" => self.interfaces.get(id, "InvalidNetworkInterfaceID.NotFound")?.it.tags_mut(),
            "eipalloc" => self.addresses.get(id, "InvalidAllocationID.NotFound")?.it.tags_mut(),
            "vol" => self.volumes.get(id, "InvalidVolume.NotFound")?.it.tags_mut(),
            "lt" => self.templates.get(id, "InvalidLaunchTemplateId.NotFound")?.it.tags_mut(),
            "i" => self.instances.get(id, "InvalidInstanceID.NotFound")?.it.tags_mut(),
            _ => return refuse("InvalidID", id),
        })
    }

    /// One line for each thing that is there, without ids.
    pub(super) fn inventory(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.tagged(&mut |kind, tags| {
            let value = |key: &str| tags.iter().find(|it| it.key == key).map(|it| &*it.value);
            let resource = value("deployix:resource").unwrap_or("of nobody");
            all.push(format!("{kind} {resource} {}", value("deployix:digest").unwrap_or_default()));
        });
        all.extend(self.stored());
        all
    }

    /// Each thing that is there, as it is, with all of its tags.
    pub(super) fn raw(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.tagged(&mut |kind, tags| all.push(format!("{kind} {tags:?}")));
        all.extend(self.buckets.iter().map(|(name, objects)| format!("{name} {objects:?}")));
        all.push(format!("{:?} {:?} {:?}", self.values, self.protected, self.attributes));
        all
    }

    /// Takes a tag off everything, by hand.
    pub(crate) fn untag(&mut self, key: &str) {
        let other = |tag: &Tag| tag.key != key;
        macro_rules! untag {
            ($($table:ident),*) => {$(
                self.$table.all_mut().for_each(|it| it.tags.retain(other));
            )*};
        }
        untag!(vpcs, subnets, gateways, tables, groups, rules, interfaces, addresses, volumes);
        untag!(templates, instances, scaling, balancers, target_groups, listeners, parameters);
        self.buckets.values_mut().flat_map(BTreeMap::values_mut).for_each(|it| it.untag(key));
    }

    fn tagged(&self, add: &mut dyn FnMut(&str, &[Tag])) {
        self.vpcs.all().for_each(|it| add("vpc", &it.tags));
        self.subnets.all().for_each(|it| add("subnet", &it.tags));
        self.gateways.all().for_each(|it| {
            add(&format!("gateway attached {}", it.attachments.len()), &it.tags);
        });
        self.tables.all().for_each(|it| {
            let kind = format!("table {} {}", it.routes.len(), it.associations.len());
            add(&kind, &it.tags);
        });
        self.groups.all().for_each(|it| add("group", &it.tags));
        self.rules.all().for_each(|it| add("rule", &it.tags));
        self.interfaces.all().for_each(|it| add(&format!("interface {}", it.status), &it.tags));
        self.addresses.all().for_each(|it| {
            add(&format!("address used {}", it.association_id.is_some()), &it.tags);
        });
        self.volumes.all().for_each(|it| add(&format!("volume {}", it.state), &it.tags));
        self.templates.all().for_each(|it| add("template", &it.tags));
        let there = self.instances.all().filter(|it| it.state != "terminated");
        there.for_each(|it| add(&format!("instance {}", it.state), &it.tags));
        self.scaling.all().for_each(|it| {
            let kind = format!("scaling {} in {}", it.instances.len(), it.target_group_arns.len());
            add(&kind, &it.tags);
        });
        self.balancers.all().for_each(|it| add(&format!("balancer {}", it.state), &it.tags));
        self.target_groups.all().for_each(|it| {
            let count = self.targets[&it.target_group_arn].all().count();
            add(&format!("target group {count}"), &it.tags);
        });
        self.listeners.all().for_each(|it| add("listener", &it.tags));
        self.parameters.all().for_each(|it| add("parameter", &it.tags));
    }
}
