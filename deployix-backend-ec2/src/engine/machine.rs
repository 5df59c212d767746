//! Network interfaces, addresses, disks, launch templates, instances.

use std::time::Duration;

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    call::{Described, Filter, InterfaceAttribute, Write},
    job::{DIGEST, Job, MADE_AS, Outputs, UNDER_WAY, all_known, by_tags, tag},
    kind::{Kind, Once, State, is_standing, made_as, own, remove_all, value},
    network::{output, tags_of_ec2_requests},
    part::Whole,
    shape::{
        Address, Instance, LaunchTemplate, LaunchTemplateVersion, NetworkInterface, TargetGroup,
        Volume,
    },
    staged,
    target::leave,
};
use crate::{
    request::{
        AllocateAddress, CreateLaunchTemplate, CreateNetworkInterface, CreateVolume,
        LaunchTemplateRef, PrivateIp, PublicCidr, PublicIp, RunInstances, Tag,
    },
    resource::TEMPLATE_ID,
};

impl Kind for NetworkInterface {
    type Request = CreateNetworkInterface;

    const NOUN: &'static str = "the network interface";
    const ONCE: Once = Once::Token;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.network_interface_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, request: &CreateNetworkInterface) -> bool {
        request.subnet_id.known() == Some(&self.subnet_id)
    }

    fn state(&self) -> State {
        match self.status.as_str() {
            "available" | "in-use" | "associated" => State::Ready,
            other => State::Pending(format!("it is {other}")),
        }
    }

    fn outputs(&self) -> Outputs {
        let address = PrivateIp(self.private_ip_address);
        Outputs::from([output(&self.network_interface_id), output(&address)])
    }

    fn settings(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().map(ToString::to_string).collect();
        groups.sort();
        groups.join(" ")
    }

    async fn adjust(
        &self,
        job: &Job<'_>,
        request: &CreateNetworkInterface,
    ) -> Result<bool, BackendError> {
        let (mut wanted, mut groups) = (all_known(&request.groups)?, self.groups.clone());
        wanted.sort();
        groups.sort();
        let mut changes = Vec::new();
        if wanted != groups {
            changes.push(InterfaceAttribute::Groups(wanted));
        }
        if self.description != request.description {
            changes.push(InterfaceAttribute::Description(request.description.clone()));
        }
        let changed = !changes.is_empty();
        for attribute in changes {
            let network_interface_id = self.network_interface_id.clone();
            let write = Write::ModifyNetworkInterfaceAttribute { network_interface_id, attribute };
            job.aws.write(write).await?;
        }
        Ok(changed)
    }

    fn is_used(&self) -> bool {
        self.instance_id.is_some()
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let network_interface_id = self.network_interface_id.clone();
        job.aws.remove(Write::DeleteNetworkInterface { network_interface_id }).await
    }
}

impl Kind for Address {
    type Request = AllocateAddress;

    const NOUN: &'static str = "the address";
    const ONCE: Once = Once::Looking;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.allocation_id.to_string()
    }

    fn fits(&self, _: &Job<'_>, _: &AllocateAddress) -> bool {
        true
    }

    fn outputs(&self) -> Outputs {
        let range = PublicCidr(ipnet::Ipv4Net::from(self.public_ip));
        Outputs::from([
            output(&self.allocation_id),
            output(&PublicIp(self.public_ip)),
            output(&range),
        ])
    }

    fn is_used(&self) -> bool {
        self.association_id.is_some()
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        if let Some(association_id) = self.association_id.clone() {
            job.aws.remove(Write::DisassociateAddress { association_id }).await?;
        }
        job.aws.remove(Write::ReleaseAddress { allocation_id: self.allocation_id.clone() }).await
    }
}

impl Kind for Volume {
    type Request = CreateVolume;

    const NOUN: &'static str = "the volume";
    const ONCE: Once = Once::Token;
    const HOLDS_DATA: bool = true;
    const READY_WITHIN: Duration = Duration::from_secs(300);

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.volume_id.to_string()
    }

    fn told(&self) -> String {
        match self.attachments.first() {
            Some(it) => format!("{} (attached to {})", self.volume_id, it.instance_id),
            None => format!("{} (attached to nothing)", self.volume_id),
        }
    }

    /// Always: what is on it has to survive. What cannot be changed is refused.
    fn fits(&self, _: &Job<'_>, _: &CreateVolume) -> bool {
        true
    }

    fn state(&self) -> State {
        match self.state.as_str() {
            "available" | "in-use" => State::Ready,
            "deleting" => State::Going,
            "deleted" => State::Gone,
            "error" => State::Failed("AWS could not make it".to_owned()),
            other => State::Pending(format!("it is {other}")),
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.volume_id)])
    }

    fn settings(&self) -> String {
        format!("{} GiB {}", self.size, self.volume_type)
    }

    async fn adjust(&self, job: &Job<'_>, request: &CreateVolume) -> Result<bool, BackendError> {
        let refused = |what: String| {
            let message = format!("{}: {what}; what is on it is kept as it is", self.volume_id);
            BackendError::permanent(ErrorKind::Invalid, "ModifyVolume", message).as_it_was()
        };
        if request.availability_zone.known() != Some(&self.availability_zone) {
            return Err(refused(format!(
                "a disk cannot move out of its zone, {}: keep its machine there, or copy it by a \
                 snapshot and remove it",
                self.availability_zone
            )));
        }
        if request.size < self.size {
            return Err(refused(format!(
                "a disk cannot shrink from {} GiB to {}: set `extensions.ec2.state-disk` to its size \
                 or more",
                self.size, request.size
            )));
        }
        if !self.encrypted {
            return Err(refused(
                "it is not encrypted: copy it by an encrypted snapshot".to_owned(),
            ));
        }
        if request.size == self.size && request.volume_type == self.volume_type {
            return Ok(false);
        }
        let volume_id = self.volume_id.clone();
        let (size, volume_type) = (request.size, request.volume_type.clone());
        job.aws.write(Write::ModifyVolume { volume_id, size, volume_type }).await?;
        Ok(true)
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        self.undo(job).await?;
        job.aws.remove(Write::DeleteVolume { volume_id: self.volume_id.clone() }).await
    }
}

impl Kind for LaunchTemplate {
    type Request = CreateLaunchTemplate;

    const NOUN: &'static str = "the launch template";
    const ONCE: Once = Once::Token;
    const LINGERS: bool = true;

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.launch_template_id.clone()
    }

    /// Its name holds the digest of what is in it.
    fn fits(&self, _: &Job<'_>, request: &CreateLaunchTemplate) -> bool {
        self.launch_template_name == request.launch_template_name
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([(TEMPLATE_ID.to_owned(), self.id())])
    }

    /// Nothing is started from another version. One that somebody made the default is what others, and
    /// people in AWS's console, would start.
    async fn adjust(&self, job: &Job<'_>, _: &CreateLaunchTemplate) -> Result<bool, BackendError> {
        if self.default_version_number == LaunchTemplateRef::VERSION {
            return Ok(false);
        }
        let launch_template_id = self.launch_template_id.clone();
        let default_version = LaunchTemplateRef::VERSION.to_string();
        job.aws.write(Write::ModifyLaunchTemplate { launch_template_id, default_version }).await?;
        Ok(true)
    }

    async fn alike(
        job: &Job<'_>,
        request: &CreateLaunchTemplate,
    ) -> Result<Option<Self>, BackendError> {
        let all: Vec<Self> = Self::find(&job.aws, by_tags(job.deployment().as_str(), None)).await?;
        Ok(all.into_iter().find(|it| it.launch_template_name == request.launch_template_name))
    }

    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let launch_template_id = self.launch_template_id.clone();
        job.aws.remove(Write::DeleteLaunchTemplate { launch_template_id }).await
    }
}

/// Removes the templates that a machine or group was started from before.
pub(super) async fn remove_old_templates(job: &Job<'_>, name: &str) -> Result<(), BackendError> {
    let resource = job.sibling("launch-template");
    let mut all: Vec<LaunchTemplate> = own(job, Some(&resource)).await?;
    // Where the wanted one is not shown yet, nothing is known to be old.
    let wanted = all.iter().find(|it| it.launch_template_name == name);
    let Some(wanted) = wanted else { return Ok(()) };
    staged::remove_old(job, &all, wanted).await?;
    let wanted = wanted.launch_template_id.clone();
    all.retain(|it| it.launch_template_id != wanted);
    remove_all(job, &all).await
}

impl Kind for Instance {
    type Request = RunInstances;

    const NOUN: &'static str = "the instance";
    const ONCE: Once = Once::Token;
    // Its network interface stays, and is taken by one machine at a time.
    const ALONE: bool = true;
    const READY_WITHIN: Duration = Duration::from_secs(900);
    const READY: &'static str = "to run and to pass its status checks";

    fn look_at(id: &str) -> String {
        format!("look at its console output (`aws ec2 get-console-output --instance-id {id}`)")
    }

    tags_of_ec2_requests!();

    fn id(&self) -> String {
        self.instance_id.to_string()
    }

    fn fits(&self, job: &Job<'_>, _: &RunInstances) -> bool {
        let as_made = tag(&self.tags, MADE_AS).is_none_or(|made| made == value(&self.settings()));
        as_made && job.keeps(tag(&self.tags, DIGEST))
    }

    fn state(&self) -> State {
        match (self.state.as_str(), self.status.as_str()) {
            ("running", "ok") => State::Ready,
            ("running", "impaired") => State::Failed(
                "AWS's status checks of it fail: look at its console output".to_owned(),
            ),
            ("running", status) => State::Pending(format!("its status checks are {status}")),
            ("stopping" | "stopped", _) => State::Stopped,
            ("shutting-down", _) => State::Going,
            ("terminated", _) => State::Gone,
            (other, _) => State::Pending(format!("it is {other}")),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.state_reason.as_deref()
    }

    fn outputs(&self) -> Outputs {
        Outputs::from([output(&self.instance_id)])
    }

    fn settings(&self) -> String {
        self.instance_type.clone()
    }

    async fn start(&self, job: &Job<'_>) -> Result<(), BackendError> {
        job.aws.ask(Write::StartInstances { instance_ids: vec![self.instance_id.clone()] }).await
    }

    /// Protects it again where its launch template says so, since somebody may have switched that off.
    async fn adjust(&self, job: &Job<'_>, request: &RunInstances) -> Result<bool, BackendError> {
        let name = &request.launch_template.launch_template_name;
        if job.mends()
            && is_to_be_protected(job, name).await?
            && job.aws.is_protected(self.instance_id.clone()).await? == Some(false)
        {
            let (instance_id, disable_api_termination) = (self.instance_id.clone(), true);
            let protect = Write::ModifyInstanceAttribute { instance_id, disable_api_termination };
            job.aws.write(protect).await?;
        }
        Ok(false)
    }

    /// It leaves the groups behind load balancers first, and ends what it is at for others.
    async fn remove(&self, job: &Job<'_>) -> Result<(), BackendError> {
        if job.replaced.is_some() {
            job.tag(Self::SERVICE, &self.id(), &self.tags, [under_way()]).await?;
        }
        for group in own::<TargetGroup>(job, None).await? {
            leave(job, &group.target_group_arn, |target| target.id == self.instance_id).await?;
        }
        let instance_id = self.instance_id.clone();
        let write = Write::ModifyInstanceAttribute { instance_id, disable_api_termination: false };
        job.aws.remove(write).await?;
        let instance_ids = vec![self.instance_id.clone()];
        job.aws.remove(Write::TerminateInstances { instance_ids }).await
    }
}

/// The tag of a machine whose change is under way.
pub(super) fn under_way() -> Tag {
    Tag::new(UNDER_WAY, "until all of it is done")
}

impl Instance {
    pub(super) fn is_under_way(&self) -> bool {
        is_standing(self) && tag(&self.tags, UNDER_WAY).is_some()
    }

    /// Its change is done, or given up.
    pub(super) async fn rests(&self, job: &Job<'_>) -> Result<(), BackendError> {
        let (resources, tag_keys) = (vec![self.id()], vec![UNDER_WAY.to_owned()]);
        job.aws.write(Write::DeleteTags { resources, tag_keys }).await
    }
}

/// All of a machine's change is done.
pub(super) async fn ended(job: &Job<'_>) -> Result<(), BackendError> {
    if job.is_change() {
        let machines: Vec<Instance> = made_as(job, job.id.as_str()).await?;
        for machine in machines.iter().filter(|machine| machine.is_under_way()) {
            machine.rests(job).await?;
        }
    }
    Ok(())
}

/// Whether what is started from a launch template is to be protected from being ended.
async fn is_to_be_protected(job: &Job<'_>, name: &str) -> Result<bool, BackendError> {
    let resource = job.sibling("launch-template");
    let all: Vec<LaunchTemplate> =
        job.aws.all(by_tags(job.deployment().as_str(), Some(&resource))).await?;
    let Some(template) = all.into_iter().find(|it| it.launch_template_name == name) else {
        return Ok(false);
    };
    let own = Filter::new(LaunchTemplateVersion::ID_FILTER, [template.launch_template_id]);
    let versions: Vec<LaunchTemplateVersion> = job.aws.all(vec![own]).await?;
    Ok(versions.iter().any(|it| it.disable_api_termination))
}
