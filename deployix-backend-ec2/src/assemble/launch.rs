//! Launch templates and the user data in them.

use deployix_core::{
    Digest, ResourceId,
    backend::{CompileError, FirstBoot, Remark},
};

use super::{Job, Place, add_file, gib, image};
use crate::{
    guest, naming,
    request::{
        BlockDevice, CreateLaunchTemplate, Ebs, InstanceInterface, InstanceProfile,
        LaunchTemplateData, LaunchTemplateRef, MetadataOptions, Request, Tag, TagSpecification,
        Value,
    },
    user_data::text::Text,
};

/// What machines are started from.
pub(super) struct Launch {
    pub(super) template: LaunchTemplateRef,
    /// What has to be there first.
    pub(super) before: Vec<ResourceId>,
}

impl Job<'_> {
    /// Makes the user data and the launch template of a machine, or of an autoscaling group's
    /// machines.
    pub(super) fn launch_template(
        &mut self,
        place: &Place<'_>,
        user_data: &ResourceId,
        id: &ResourceId,
    ) -> Result<Launch, CompileError> {
        let site = self.assembly.site;
        let instance_type =
            image::instance_type(&self.settings, &place.units, &mut self.artifact.remarks)?;
        let guest = site.target.guest.as_ref();
        let image_id = image::image(
            &self.settings,
            &instance_type,
            guest.map(deployix_core::BackendId::as_str),
        )?;

        let text = self.user_data(place)?;
        let file = match place.machine {
            Some(machine) => format!("user-data/{}-{machine}", site.target.name),
            None => format!("user-data/{}", site.target.name),
        };
        add_file(&mut self.artifact, &file, text.preview())?;
        let boot = self.boot(place, &text, user_data)?;

        let data = LaunchTemplateData {
            image_id,
            instance_type,
            key_name: self.settings.key_name.clone(),
            iam_instance_profile: self
                .settings
                .instance_profile
                .clone()
                .map(|name| InstanceProfile { name }),
            block_device_mappings: vec![self.root_disk()],
            metadata_options: MetadataOptions::strict(),
            disable_api_termination: place.has_state() || place.state_disk.is_some(),
            network_interfaces: self.new_interface(place)?,
            user_data: Value::output_of(user_data),
            tag_specifications: self.machine_tags(place, id),
        };
        // The name is that of the contents, user data included, so a template never changes under
        // its name, and what is started from another one is seen to differ.
        let request = Request::from(CreateLaunchTemplate {
            launch_template_name: String::new(),
            launch_template_data: data.clone(),
            tag_specifications: Vec::new(),
        });
        let json = |error: serde_json::Error| Remark::new(["name"], error.to_string());
        let mut says = text.preview();
        says.extend(boot.staged.iter().map(String::as_str));
        let contents = (request.parameters().map_err(json)?, says);
        let digest = Digest::of(&contents).map_err(json)?.short();
        let stem = match place.machine {
            Some(machine) => format!("{}/{machine}", site.target.name),
            None => site.target.name.to_string(),
        };
        let stem = naming::long(self.assembly.deployment, &stem, 128 - 1 - digest.len());
        let name = format!("{stem}/{digest}");
        let mut tag_specifications =
            naming::tagged("launch-template", self.assembly.deployment, &name, id);
        for specification in &mut tag_specifications {
            specification.tags.extend(boot.tags.iter().cloned());
            specification.tags.sort();
        }
        let template = CreateLaunchTemplate {
            tag_specifications,
            launch_template_name: name,
            launch_template_data: data,
        };
        self.make_carrying(place, id, template.clone(), [])?;
        let mut before = vec![id.clone()];
        before.extend(boot.before);
        Ok(Launch { template: LaunchTemplateRef::to(&template), before })
    }

    /// What a machine does at its first boot: as the target's guest says, or as a plain Debian.
    pub(super) fn user_data(&self, place: &Place<'_>) -> Result<Text, CompileError> {
        let site = self.assembly.site;
        let state_disk = place.state_disk.as_ref().map(guest::disk);
        if guest::is_plain(&site) {
            let hostname = place.machine.map(|machine| format!("{}-{machine}", site.target.name));
            let units = place.units.clone();
            let parameters = self.fetched_from(&units)?;
            let authority = self.assembly.certificate_authority;
            let authority = authority.and_then(|authority| authority.certificate.as_deref());
            let ipsec = guest::Ipsec::of(&units, place.machine.unwrap_or(0), authority)?;
            return guest::cloud_config(&guest::Machine {
                hostname,
                units,
                state_disk,
                parameters,
                ipsec,
            });
        }
        let Some(guest) = self.assembly.guest else {
            return Err(Remark::new(["guest"], "its guest is not known here")
                .remedy("leave `guest` out for plain Debian machines, or name one that is known")
                .into());
        };
        let units: Vec<_> = place.units.iter().map(|unit| (*unit).clone()).collect();
        let mut machine = FirstBoot::new(site, &units);
        if let Some(disk) = &state_disk {
            machine = machine.with_disk(disk);
        }
        guest::text_of(&guest.user_data(&machine)?.parts, &place.units)
    }

    fn root_disk(&self) -> BlockDevice {
        BlockDevice {
            device_name: self.settings.root_device.clone(),
            ebs: Ebs {
                encrypted: true,
                delete_on_termination: true,
                volume_size: self.settings.root_disk.map(gib),
                volume_type: self.settings.disk_type.clone(),
            },
        }
    }

    /// The interface of an autoscaling group's machines; others bring theirs along.
    fn new_interface(&mut self, place: &Place<'_>) -> Result<Vec<InstanceInterface>, CompileError> {
        if place.machine.is_some() {
            return Ok(Vec::new());
        }
        Ok(vec![InstanceInterface {
            device_index: 0,
            network_interface_id: None,
            associate_public_ip_address: Some(self.settings.public_address),
            delete_on_termination: Some(true),
            groups: self.groups(place)?,
        }])
    }

    /// The tags of instances and their root disks. An instance gets its own from the request that
    /// starts it, where there is one.
    fn machine_tags(&self, place: &Place<'_>, id: &ResourceId) -> Vec<TagSpecification> {
        let name = self.name(place.machine);
        let mut tags = naming::tags(self.assembly.deployment, &name, id);
        tags.extend(self.settings.tags.iter().map(|(key, value)| Tag::new(key, value)));
        tags.sort();
        let of =
            |kind: &str| TagSpecification { resource_type: kind.to_owned(), tags: tags.clone() };
        vec![of("instance"), of("volume")]
    }
}
