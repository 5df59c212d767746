//! Autoscaling groups, and the machines that they start by themselves.

use deployix_backend_ec2::{
    engine::{
        call::Write,
        shape::{AutoScalingGroup, AutoScalingInstance, LaunchTemplate},
    },
    request::{
        AttachLoadBalancerTargetGroups, AutoScalingTag, CreateAutoScalingGroup, InstanceId, Tag,
        VpcId,
    },
};
use tokio::time::{Duration, Instant};

use super::{
    network::known,
    table::{Result, new_tags, put_tags, refuse},
    world::World,
};

fn plain(tags: &[AutoScalingTag]) -> Vec<Tag> {
    tags.iter().map(|tag| Tag::new(&tag.key, &tag.value)).collect()
}

const MISSING: &str = "ValidationError";

impl World {
    pub(super) fn create_scaling(&mut self, it: &CreateAutoScalingGroup) -> Result<String> {
        let name = it.auto_scaling_group_name.clone();
        if self.scaling.all().any(|other| other.auto_scaling_group_name == name) {
            return refuse("AlreadyExists", name);
        }
        let group = self.described(it)?;
        self.scaling.add(&name, group, self.late);
        Ok(name)
    }

    fn described(&mut self, it: &CreateAutoScalingGroup) -> Result<AutoScalingGroup> {
        let template = &it.launch_template;
        let is_named =
            |other: &LaunchTemplate| other.launch_template_name == template.launch_template_name;
        if !self.templates.all().any(is_named) {
            return refuse(MISSING, "the launch template does not exist");
        }
        let data = &self.template_data[&template.launch_template_name].launch_template_data;
        if let Some(profile) = &data.iam_instance_profile
            && let Err(error) = self.check_profile(&profile.name)
        {
            let message = format!("You must use a valid fully-formed launch template. {error}");
            return refuse(MISSING, message);
        }
        let groups = data.network_interfaces.iter().flat_map(|it| &it.groups);
        let groups: Vec<_> = groups.map(|it| known(it).clone()).collect();
        let vpc = self.vpc_of(it)?;
        let mut own = self.groups.all().filter(|it| groups.contains(&it.group_id));
        if let Some(group) = own.find(|it| it.vpc_id != vpc) {
            return refuse(MISSING, format!("{} is not in {vpc}", group.group_id));
        }
        Ok(AutoScalingGroup {
            auto_scaling_group_name: it.auto_scaling_group_name.clone(),
            launch_template: template.clone(),
            min_size: it.min_size,
            max_size: it.max_size,
            subnets: it.vpc_zone_identifier.iter().map(|it| known(it).clone()).collect(),
            health_check_type: it.health_check_type.clone(),
            health_check_grace_period: it.health_check_grace_period,
            instance_maintenance_policy: it.instance_maintenance_policy.clone(),
            target_group_arns: Vec::new(),
            instances: Vec::new(),
            status: None,
            tags: new_tags(&plain(&it.tags))?,
        })
    }

    /// The one network that its subnets are of.
    fn vpc_of(&mut self, it: &CreateAutoScalingGroup) -> Result<VpcId> {
        let mut all = Vec::new();
        for subnet in &it.vpc_zone_identifier {
            all.push(self.subnets.get(known(subnet).as_str(), MISSING)?.it.vpc_id.clone());
        }
        all.dedup();
        let [vpc] = all.as_slice() else { return refuse(MISSING, "subnets of several networks") };
        Ok(vpc.clone())
    }

    pub(super) fn attach_target_groups(
        &mut self,
        it: &AttachLoadBalancerTargetGroups,
    ) -> Result<String> {
        let own = self.group(&it.auto_scaling_group_name)?.subnets[0].clone();
        let vpc = self.subnets.get(own.as_str(), MISSING)?.it.vpc_id.clone();
        for arn in &it.target_group_arns {
            let group = &self.target_groups.get(&known(arn).0, MISSING)?.it.settings;
            if *known(&group.vpc_id) != vpc {
                return refuse(MISSING, "Provided Target Groups may not be valid");
            }
        }
        let group = &mut self.group(&it.auto_scaling_group_name)?;
        for arn in &it.target_group_arns {
            let arn = &known(arn).0;
            if !group.target_group_arns.contains(arn) {
                group.target_group_arns.push(arn.clone());
            }
        }
        Ok(String::new())
    }

    fn group(&mut self, name: &str) -> Result<&mut AutoScalingGroup> {
        match self.scaling.get(name, MISSING) {
            Ok(entry) => Ok(&mut entry.it),
            Err(_) => refuse(MISSING, format!("AutoScalingGroup name not found - {name}")),
        }
    }

    pub(super) fn write_scaling(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::UpdateAutoScalingGroup { group: it } => {
                let (new, vpc) = (self.described(it)?, self.vpc_of(it)?);
                let arns = self.group(&it.auto_scaling_group_name)?.target_group_arns.clone();
                for arn in arns {
                    let behind = self.target_groups.entry(&arn);
                    if behind.is_some_and(|group| *known(&group.it.settings.vpc_id) != vpc) {
                        return refuse(MISSING, format!("{arn} is not in {vpc}"));
                    }
                }
                let group = self.group(&it.auto_scaling_group_name)?;
                let (arns, instances, tags) =
                    (group.target_group_arns.clone(), group.instances.clone(), group.tags.clone());
                *group = AutoScalingGroup { target_group_arns: arns, instances, tags, ..new };
            }
            Write::CreateOrUpdateTags { auto_scaling_group_name, tags } => {
                put_tags(&mut self.group(auto_scaling_group_name)?.tags, &plain(tags))?;
            }
            Write::StartInstanceRefresh { auto_scaling_group_name } => {
                self.group(auto_scaling_group_name)?;
                if self.refreshes.contains_key(auto_scaling_group_name) {
                    return refuse("InstanceRefreshInProgress", auto_scaling_group_name);
                }
                let ends = Instant::now() + Duration::from_secs(60);
                self.refreshes.insert(auto_scaling_group_name.clone(), ends);
            }
            Write::DetachLoadBalancerTargetGroups {
                auto_scaling_group_name,
                target_group_arns,
            } => {
                let group = self.group(auto_scaling_group_name)?;
                group.target_group_arns.retain(|it| !target_group_arns.contains(it));
                let machines: Vec<_> =
                    group.instances.iter().map(|it| it.instance_id.clone()).collect();
                for arn in target_group_arns {
                    for machine in &machines {
                        self.drain(arn, machine);
                    }
                }
            }
            Write::DeleteAutoScalingGroup { auto_scaling_group_name, force_delete } => {
                let group = self.group(auto_scaling_group_name)?;
                if !force_delete && !group.instances.is_empty() {
                    return refuse("ResourceInUse", auto_scaling_group_name);
                }
                group.status = Some("Delete in progress".to_owned());
                let machines: Vec<_> =
                    group.instances.iter().map(|it| it.instance_id.clone()).collect();
                machines.iter().for_each(|id| self.end_machine(id));
                self.scaling.entry(auto_scaling_group_name).unwrap().gone_after(40);
            }
            other => return refuse("InvalidAction", other.operation()),
        }
        Ok(())
    }

    /// Every group has the machines that it should have; once a refresh ended, from its template and
    /// in its subnets.
    pub(super) fn scale(&mut self) {
        let now = Instant::now();
        let ended: Vec<_> = self.refreshes.iter().filter(|(_, at)| **at <= now).collect();
        let ended: Vec<_> = ended.into_iter().map(|(name, _)| name.clone()).collect();
        for name in ended {
            self.refreshes.remove(&name);
            let Some(entry) = self.scaling.entry(&name) else { continue };
            let old = std::mem::take(&mut entry.it.instances);
            let old: Vec<_> = old.into_iter().map(|it| it.instance_id).collect();
            old.iter().for_each(|id| self.end_machine(id));
        }
        let groups: Vec<_> = self.scaling.all().filter(|it| it.status.is_none()).cloned().collect();
        for group in groups {
            let mut instances = group.instances.clone();
            instances.retain(|it| {
                self.instances.entry(it.instance_id.as_str()).is_some_and(|entry| {
                    !["shutting-down", "terminated"].contains(&&*entry.it.state)
                })
            });
            while instances.len() < group.min_size as usize {
                let Ok(id) = self.start_scaled(&group) else { break };
                instances.push(AutoScalingInstance {
                    instance_id: id,
                    lifecycle_state: "Pending".to_owned(),
                    health_status: "Healthy".to_owned(),
                    launch_template: group.launch_template.clone(),
                });
            }
            for instance in &mut instances {
                let there = self.instances.entry(instance.instance_id.as_str());
                if there.is_some_and(|entry| entry.it.status == "ok") {
                    instance.lifecycle_state = "InService".to_owned();
                    for arn in &group.target_group_arns {
                        self.enter(arn, &instance.instance_id);
                    }
                }
            }
            self.scaling.entry(&group.auto_scaling_group_name).unwrap().it.instances = instances;
        }
    }

    fn start_scaled(&mut self, group: &AutoScalingGroup) -> Result<InstanceId> {
        let name = &group.launch_template.launch_template_name;
        let Some(template) = self.template_data.get(name) else { return refuse(MISSING, name) };
        let groups = template.launch_template_data.network_interfaces[0].groups.clone();
        let groups = groups.iter().map(|it| known(it).clone()).collect();
        let interface = self.new_interface(&group.subnets[0], "", groups, Vec::new())?;
        self.fleeting.insert(interface.clone());
        let id = self.start_machine(name, &interface, &[])?;
        Ok(InstanceId::new(&id).unwrap())
    }
}
