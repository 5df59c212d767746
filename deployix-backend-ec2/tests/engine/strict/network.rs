//! Networks, subnets, gateways, route tables, security groups.

use std::net::Ipv4Addr;

use deployix_backend_ec2::{
    engine::{
        call::Write,
        shape::{
            InternetGateway, Route, RouteTable, RouteTableAssociation, SecurityGroup,
            SecurityGroupRule, Subnet, Vpc,
        },
    },
    request::{
        AssociateRouteTable, AttachInternetGateway, CreateInternetGateway, CreateRoute,
        CreateRouteTable, CreateSecurityGroup, CreateSubnet, CreateVpc, GroupId, InternetGatewayId,
        IpPermission, RouteTableId, SubnetId, Tag, TagSpecification, Value, VpcId, ZoneName,
    },
};

use super::{
    table::{Result, new_tags, refuse},
    world::World,
};

/// The quotas of a new account (Amazon VPC User Guide, "Amazon VPC quotas").
const VPCS: usize = 5;
const RULES: usize = 60;

pub(super) fn known<T>(value: &Value<T>) -> &T {
    value.known().unwrap()
}

/// The tags of what a request makes.
pub(super) fn tags_of(specifications: &[TagSpecification], kind: &str) -> Result<Vec<Tag>> {
    let mut tags = Vec::new();
    for specification in specifications {
        if specification.resource_type != kind {
            return refuse("InvalidParameterValue", &specification.resource_type);
        }
        tags.extend(specification.tags.clone());
    }
    new_tags(&tags)
}

impl World {
    pub(super) fn create_vpc(&mut self, it: &CreateVpc) -> Result<String> {
        if !(16..=28).contains(&it.cidr_block.prefix_len()) {
            return refuse("InvalidVpc.Range", it.cidr_block);
        }
        if self.vpcs.all().count() >= VPCS {
            return refuse("VpcLimitExceeded", VPCS);
        }
        let id = self.id("vpc");
        let vpc = Vpc {
            vpc_id: VpcId::new(&id).unwrap(),
            cidr_block: it.cidr_block,
            state: "pending".to_owned(),
            tags: tags_of(&it.tag_specifications, "vpc")?,
        };
        self.vpcs.add(&id, vpc, self.late).then(2, |vpc| vpc.state = "available".to_owned());
        Ok(id)
    }

    pub(super) fn create_subnet(&mut self, it: &CreateSubnet) -> Result<String> {
        let vpc = self.vpcs.get(known(&it.vpc_id).as_str(), "InvalidVpcID.NotFound")?.it.clone();
        if !vpc.cidr_block.contains(&it.cidr_block) {
            return refuse("InvalidSubnet.Range", it.cidr_block);
        }
        let in_vpc = self.subnets.all().filter(|other| other.vpc_id == vpc.vpc_id);
        let overlaps = |other: &Subnet| {
            other.cidr_block.contains(&it.cidr_block) || it.cidr_block.contains(&other.cidr_block)
        };
        if in_vpc.into_iter().any(overlaps) {
            return refuse("InvalidSubnet.Conflict", it.cidr_block);
        }
        let zone = it.availability_zone.clone();
        let zone = zone.unwrap_or_else(|| ZoneName(format!("{}a", self.region)));
        let letter = zone.0.strip_prefix(&self.region);
        if !letter.is_some_and(|letter| ["a", "b", "c"].contains(&letter)) {
            return refuse("InvalidParameterValue", format!("availabilityZone {zone} is invalid"));
        }
        let id = self.id("subnet");
        let subnet = Subnet {
            subnet_id: SubnetId::new(&id).unwrap(),
            vpc_id: vpc.vpc_id,
            cidr_block: it.cidr_block,
            availability_zone: zone,
            state: "available".to_owned(),
            tags: tags_of(&it.tag_specifications, "subnet")?,
        };
        self.subnets.add(&id, subnet, self.late);
        Ok(id)
    }

    /// A subnet that somebody else made in a network that is there.
    pub(crate) fn subnet_of_others(&mut self, cidr_block: ipnet::Ipv4Net) {
        let id = self.id("subnet");
        let subnet = Subnet {
            subnet_id: SubnetId::new(&id).unwrap(),
            vpc_id: self.vpcs.all().next().unwrap().vpc_id.clone(),
            cidr_block,
            availability_zone: ZoneName(format!("{}a", self.region)),
            state: "available".to_owned(),
            tags: Vec::new(),
        };
        self.subnets.add(&id, subnet, self.late.at_once());
    }

    /// A network that somebody else made, with a way out and one subnet.
    pub(crate) fn network_of_others(&mut self) -> (VpcId, SubnetId) {
        let (vpc, at_once) = (self.id("vpc"), self.late.at_once());
        let vpc_id = VpcId::new(&vpc).unwrap();
        let cidr_block = "172.31.0.0/16".parse().unwrap();
        let (state, tags) = ("available".to_owned(), Vec::new());
        let made = Vpc { vpc_id: vpc_id.clone(), cidr_block, state, tags };
        self.vpcs.add(&vpc, made, at_once);
        self.second_gateway(Vec::new());
        let gateway = self.gateways.all_mut().find(|it| it.tags.is_empty()).unwrap();
        gateway.attachments.push(vpc_id.clone());
        let subnet = self.id("subnet");
        let made = Subnet {
            subnet_id: SubnetId::new(&subnet).unwrap(),
            vpc_id: vpc_id.clone(),
            cidr_block: "172.31.0.0/20".parse().unwrap(),
            availability_zone: ZoneName(format!("{}a", self.region)),
            state: "available".to_owned(),
            tags: Vec::new(),
        };
        let subnet_id = made.subnet_id.clone();
        self.subnets.add(subnet, made, at_once);
        (vpc_id, subnet_id)
    }

    pub(super) fn create_gateway(&mut self, it: &CreateInternetGateway) -> Result<String> {
        let id = self.id("igw");
        let gateway = InternetGateway {
            internet_gateway_id: InternetGatewayId::new(&id).unwrap(),
            attachments: Vec::new(),
            tags: tags_of(&it.tag_specifications, "internet-gateway")?,
        };
        self.gateways.add(&id, gateway, self.late);
        Ok(id)
    }

    /// A gateway that nobody asked for.
    pub(crate) fn second_gateway(&mut self, tags: Vec<Tag>) {
        let id = self.id("igw");
        let internet_gateway_id = InternetGatewayId::new(&id).unwrap();
        let gateway = InternetGateway { internet_gateway_id, attachments: Vec::new(), tags };
        self.gateways.add(&id, gateway, self.late.at_once());
    }

    pub(super) fn attach_gateway(&mut self, it: &AttachInternetGateway) -> Result<String> {
        let vpc = known(&it.vpc_id);
        self.vpcs.get(vpc.as_str(), "InvalidVpcID.NotFound")?;
        if self.gateways.all().any(|other| other.attachments.contains(vpc)) {
            return refuse("Resource.AlreadyAssociated", vpc);
        }
        let id = known(&it.internet_gateway_id).as_str();
        let gateway = &mut self.gateways.get(id, "InvalidInternetGatewayID.NotFound")?.it;
        if !gateway.attachments.is_empty() {
            return refuse("Resource.AlreadyAssociated", id);
        }
        gateway.attachments.push(vpc.clone());
        Ok(String::new())
    }

    pub(super) fn create_table(&mut self, it: &CreateRouteTable) -> Result<String> {
        let vpc = self.vpcs.get(known(&it.vpc_id).as_str(), "InvalidVpcID.NotFound")?.it.clone();
        let id = self.id("rtb");
        let local = Route {
            destination_cidr_block: vpc.cidr_block,
            gateway_id: "local".to_owned(),
            state: "active".to_owned(),
        };
        let table = RouteTable {
            route_table_id: RouteTableId::new(&id).unwrap(),
            vpc_id: vpc.vpc_id,
            routes: vec![local],
            associations: Vec::new(),
            tags: tags_of(&it.tag_specifications, "route-table")?,
        };
        self.tables.add(&id, table, self.late);
        Ok(id)
    }

    pub(super) fn create_route(&mut self, it: &CreateRoute) -> Result<String> {
        let gateway = known(&it.gateway_id).as_str();
        let attached =
            self.gateways.get(gateway, "InvalidInternetGatewayID.NotFound")?.it.attachments.clone();
        let table = known(&it.route_table_id).as_str();
        let table = &mut self.tables.get(table, "InvalidRouteTableID.NotFound")?.it;
        if !attached.contains(&table.vpc_id) {
            return refuse("InvalidParameterValue", "they belong to different networks");
        }
        let destination_cidr_block = it.destination_cidr_block;
        if table.routes.iter().any(|it| it.destination_cidr_block == destination_cidr_block) {
            return refuse("RouteAlreadyExists", destination_cidr_block);
        }
        let (gateway_id, state) = (gateway.to_owned(), "active".to_owned());
        table.routes.push(Route { destination_cidr_block, gateway_id, state });
        Ok(String::new())
    }

    pub(super) fn associate_table(&mut self, it: &AssociateRouteTable) -> Result<String> {
        let subnet = known(&it.subnet_id).clone();
        self.subnets.get(subnet.as_str(), "InvalidSubnetID.NotFound")?;
        let used = |table: &RouteTable| table.associations.iter().any(|it| it.subnet_id == subnet);
        if self.tables.all().any(used) {
            return refuse("Resource.AlreadyAssociated", subnet);
        }
        let id = self.id("rtbassoc");
        let table = known(&it.route_table_id).as_str();
        let table = &mut self.tables.get(table, "InvalidRouteTableID.NotFound")?.it;
        let route_table_association_id = id.clone();
        table
            .associations
            .push(RouteTableAssociation { route_table_association_id, subnet_id: subnet });
        Ok(id)
    }

    pub(super) fn create_group(&mut self, it: &CreateSecurityGroup) -> Result<String> {
        let vpc_id = known(&it.vpc_id).clone();
        self.vpcs.get(vpc_id.as_str(), "InvalidVpcID.NotFound")?;
        if it.group_name.starts_with("sg-") || it.group_name.len() > 255 {
            return refuse("InvalidParameterValue", &it.group_name);
        }
        let same =
            |other: &SecurityGroup| other.vpc_id == vpc_id && other.group_name == it.group_name;
        if self.groups.all().any(same) {
            return refuse("InvalidGroup.Duplicate", &it.group_name);
        }
        let id = self.id("sg");
        let group = SecurityGroup {
            group_id: GroupId::new(&id).unwrap(),
            group_name: it.group_name.clone(),
            description: it.description.clone(),
            vpc_id,
            tags: tags_of(&it.tag_specifications, "security-group")?,
        };
        let group_id = group.group_id.clone();
        self.groups.add(&id, group, self.late);
        self.add_rule(group_id, true, IpPermission::default_egress(), Vec::new());
        Ok(id)
    }

    /// A rule, whoever adds it.
    pub(crate) fn add_rule(
        &mut self,
        group_id: GroupId,
        is_egress: bool,
        permission: IpPermission,
        tags: Vec<Tag>,
    ) -> String {
        let id = self.id("sgr");
        let rule = SecurityGroupRule {
            security_group_rule_id: id.clone(),
            group_id,
            is_egress,
            permission,
            tags,
        };
        self.rules.add(&id, rule, self.late);
        id
    }

    pub(super) fn authorize(
        &mut self,
        group: &Value<GroupId>,
        permissions: &[IpPermission],
        tags: &[TagSpecification],
        is_egress: bool,
    ) -> Result<String> {
        let group_id = known(group).clone();
        let vpc = self.groups.get(group_id.as_str(), "InvalidGroup.NotFound")?.it.vpc_id.clone();
        let [permission] = permissions else { return refuse("InvalidParameterValue", "rules") };
        for pair in &permission.user_id_group_pairs {
            let other = known(&pair.group_id).as_str();
            if self.groups.get(other, "InvalidGroup.NotFound")?.it.vpc_id != vpc {
                return refuse("InvalidGroup.NotFound", format!("{other} is in another network"));
            }
        }
        let tags = tags_of(tags, "security-group-rule")?;
        let own = self.rules.all();
        let own = own.filter(|it| it.group_id == group_id && it.is_egress == is_egress);
        let own: Vec<_> = own.collect();
        if own.iter().any(|it| says(&it.permission) == says(permission)) {
            return refuse("InvalidPermission.Duplicate", "the specified rule already exists");
        }
        if own.len() >= RULES {
            return refuse("RulesPerSecurityGroupLimitExceeded", RULES);
        }
        Ok(self.add_rule(group_id, is_egress, permission.clone(), tags))
    }

    fn revoke(&mut self, group: &GroupId, ids: &[String], egress: bool) -> Result<()> {
        for id in ids {
            let rule = &self.rules.get(id, "InvalidSecurityGroupRuleId.NotFound")?.it;
            if rule.group_id != *group || rule.is_egress != egress {
                return refuse("InvalidSecurityGroupRuleId.NotFound", id);
            }
            self.rules.remove(id);
        }
        Ok(())
    }

    pub(super) fn write_network(&mut self, write: &Write) -> Option<Result<()>> {
        Some(match write {
            Write::DeleteVpc { vpc_id } => self.delete_vpc(vpc_id),
            Write::DeleteSubnet { subnet_id } => self.delete_subnet(subnet_id),
            Write::DetachInternetGateway { internet_gateway_id, vpc_id } => {
                self.detach_gateway(internet_gateway_id, vpc_id)
            }
            Write::DeleteInternetGateway { internet_gateway_id } => {
                self.delete_gateway(internet_gateway_id)
            }
            Write::DeleteRouteTable { route_table_id } => self.delete_table(route_table_id),
            Write::ReplaceRoute { route_table_id, destination_cidr_block, gateway_id } => self
                .with_route(route_table_id, *destination_cidr_block, |routes, at| {
                    gateway_id.as_str().clone_into(&mut routes[at].gateway_id);
                }),
            Write::DeleteRoute { route_table_id, destination_cidr_block } => {
                self.with_route(route_table_id, *destination_cidr_block, |routes, at| {
                    routes.remove(at);
                })
            }
            Write::ReplaceRouteTableAssociation { association_id, route_table_id } => {
                self.replace_association(association_id, route_table_id)
            }
            Write::DisassociateRouteTable { association_id } => {
                self.take_association(association_id).map(|_| ())
            }
            Write::DeleteSecurityGroup { group_id } => self.delete_group(group_id),
            Write::RevokeSecurityGroupIngress { group_id, security_group_rule_ids } => {
                self.revoke(group_id, security_group_rule_ids, false)
            }
            Write::RevokeSecurityGroupEgress { group_id, security_group_rule_ids } => {
                self.revoke(group_id, security_group_rule_ids, true)
            }
            _ => return None,
        })
    }

    fn delete_vpc(&mut self, id: &VpcId) -> Result<()> {
        self.vpcs.get(id.as_str(), "InvalidVpcID.NotFound")?;
        let used = self.subnets.all().any(|it| it.vpc_id == *id)
            || self.gateways.all().any(|it| it.attachments.contains(id))
            || self.tables.all().any(|it| it.vpc_id == *id)
            || self.groups.all().any(|it| it.vpc_id == *id);
        if used {
            return refuse("DependencyViolation", format!("{id} has dependencies"));
        }
        self.vpcs.remove(id.as_str());
        Ok(())
    }

    fn delete_subnet(&mut self, id: &SubnetId) -> Result<()> {
        self.subnets.get(id.as_str(), "InvalidSubnetID.NotFound")?;
        if self.interfaces.all().any(|it| it.subnet_id == *id) {
            return refuse("DependencyViolation", format!("{id} has dependencies"));
        }
        for table in self.tables.all_mut() {
            table.associations.retain(|it| it.subnet_id != *id);
        }
        self.subnets.remove(id.as_str());
        Ok(())
    }

    fn detach_gateway(&mut self, id: &InternetGatewayId, vpc: &VpcId) -> Result<()> {
        let subnets: Vec<_> =
            self.subnets.all().filter(|it| it.vpc_id == *vpc).map(|it| &it.subnet_id).collect();
        let inside = self.interfaces.all().filter(|it| subnets.contains(&&it.subnet_id));
        let inside: Vec<_> = inside.map(|it| it.network_interface_id.clone()).collect();
        let mapped = |it: &Ipv4Addr| !it.is_unspecified();
        let mut addresses = self.addresses.all();
        if addresses.any(|it| {
            mapped(&it.public_ip)
                && it.network_interface_id.as_ref().is_some_and(|it| inside.contains(it))
        }) {
            return refuse("DependencyViolation", format!("{vpc} has mapped public addresses"));
        }
        let mut interfaces = self.interfaces.all();
        if interfaces.any(|it| it.vpc_id == *vpc && it.description.starts_with("ELB ")) {
            return refuse("DependencyViolation", format!("{vpc} has mapped public addresses"));
        }
        let gateway = &mut self.gateways.get(id.as_str(), "InvalidInternetGatewayID.NotFound")?.it;
        if !gateway.attachments.contains(vpc) {
            return refuse("Gateway.NotAttached", format!("{id} is not attached to {vpc}"));
        }
        gateway.attachments.clear();
        for table in self.tables.all_mut() {
            for route in table.routes.iter_mut().filter(|it| it.gateway_id == id.as_str()) {
                "blackhole".clone_into(&mut route.state);
            }
        }
        Ok(())
    }

    fn delete_gateway(&mut self, id: &InternetGatewayId) -> Result<()> {
        let gateway = &self.gateways.get(id.as_str(), "InvalidInternetGatewayID.NotFound")?.it;
        if !gateway.attachments.is_empty() {
            return refuse("DependencyViolation", format!("{id} is attached"));
        }
        self.gateways.remove(id.as_str());
        Ok(())
    }

    fn delete_table(&mut self, id: &RouteTableId) -> Result<()> {
        let table = &self.tables.get(id.as_str(), "InvalidRouteTableID.NotFound")?.it;
        if !table.associations.is_empty() {
            return refuse("DependencyViolation", format!("{id} has associations"));
        }
        self.tables.remove(id.as_str());
        Ok(())
    }

    fn with_route(
        &mut self,
        table: &RouteTableId,
        destination: ipnet::Ipv4Net,
        change: impl FnOnce(&mut Vec<Route>, usize),
    ) -> Result<()> {
        let routes =
            &mut self.tables.get(table.as_str(), "InvalidRouteTableID.NotFound")?.it.routes;
        let Some(at) = routes.iter().position(|it| it.destination_cidr_block == destination) else {
            return refuse("InvalidRoute.NotFound", destination);
        };
        change(routes, at);
        Ok(())
    }

    fn take_association(&mut self, id: &str) -> Result<RouteTableAssociation> {
        for table in self.tables.all_mut() {
            let mut all = table.associations.iter();
            if let Some(at) = all.position(|it| it.route_table_association_id == id) {
                return Ok(table.associations.remove(at));
            }
        }
        refuse("InvalidAssociationID.NotFound", id)
    }

    fn replace_association(&mut self, id: &str, table: &RouteTableId) -> Result<()> {
        self.tables.get(table.as_str(), "InvalidRouteTableID.NotFound")?;
        let mut association = self.take_association(id)?;
        association.route_table_association_id = self.id("rtbassoc");
        let table = &mut self.tables.get(table.as_str(), "InvalidRouteTableID.NotFound")?.it;
        table.associations.push(association);
        Ok(())
    }

    fn delete_group(&mut self, id: &GroupId) -> Result<()> {
        self.groups.get(id.as_str(), "InvalidGroup.NotFound")?;
        let names = |rule: &SecurityGroupRule| {
            let mut pairs = rule.permission.user_id_group_pairs.iter();
            rule.group_id != *id && pairs.any(|pair| pair.group_id.known() == Some(id))
        };
        let used = self.rules.all().any(names)
            || self.interfaces.all().any(|it| it.groups.contains(id))
            || self.balancers.all().any(|it| it.security_groups.contains(id));
        if used {
            return refuse("DependencyViolation", format!("{id} has a dependent object"));
        }
        let own: Vec<_> = self.rules.all().filter(|it| it.group_id == *id).collect();
        let own: Vec<_> = own.iter().map(|it| it.security_group_rule_id.clone()).collect();
        for rule in own {
            self.rules.remove(&rule);
        }
        self.groups.remove(id.as_str());
        Ok(())
    }
}

/// What a rule allows, whatever it is described as.
fn says(rule: &IpPermission) -> String {
    let mut rule = rule.clone();
    rule.user_id_group_pairs.iter_mut().for_each(|it| it.description = None);
    rule.ip_ranges.iter_mut().for_each(|it| it.description = None);
    rule.ipv6_ranges.iter_mut().for_each(|it| it.description = None);
    format!("{rule:?}")
}
