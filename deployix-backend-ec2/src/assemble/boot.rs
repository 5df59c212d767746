//! How a machine gets what it does at its first boot: told as its user data, or where that is too
//! small, fetched from S3.

use deployix_core::{
    Digest, ResourceId,
    backend::{CompileError, Remark},
};

use super::{Job, Place};
use crate::{
    compile, naming,
    request::{RenderUserData, StageUserData, Tag, UserDataEncoding},
    staging::Staging,
    user_data::{fetch, pack, text::Text},
};

/// What a launch template has to know of its user data.
#[derive(Default)]
pub(super) struct Boot {
    /// Tags of the template: what stands nowhere but in it, and where the rest is.
    pub(super) tags: Vec<Tag>,
    /// The place in S3 and the object's version, where a machine fetches the rest.
    pub(super) staged: Option<String>,
    /// What a machine needs beside the template.
    pub(super) before: Vec<ResourceId>,
}

impl Job<'_> {
    /// Makes the user data of a machine, or of an autoscaling group's machines.
    pub(super) fn boot(
        &mut self,
        place: &Place<'_>,
        text: &Text,
        user_data: &ResourceId,
    ) -> Result<Boot, CompileError> {
        match pack::plan(text) {
            Ok(render) => self.told(place, user_data, render),
            Err(error) => self.fetched(place, text, user_data, &error),
        }
    }

    fn told(
        &mut self,
        place: &Place<'_>,
        user_data: &ResourceId,
        render: RenderUserData,
    ) -> Result<Boot, CompileError> {
        self.make_carrying(place, user_data, render, [])?;
        let digest = self.artifact.resources.last().map(deployix_core::backend::Resource::digest);
        // It stands nowhere but in the template, whose tag tells which one it is.
        let tags = digest.map(|digest| naming::part(user_data, digest)).into_iter().collect();
        Ok(Boot { tags, ..Boot::default() })
    }

    fn fetched(
        &mut self,
        place: &Place<'_>,
        text: &Text,
        user_data: &ResourceId,
        error: &pack::TooLarge,
    ) -> Result<Boot, CompileError> {
        let staging = self.can_fetch(place, text, error)?;
        let deployment = self.assembly.deployment;
        let id = naming::beside(user_data, naming::STAGED)?;
        let contents = Digest::of_bytes(text.preview().as_bytes());
        let stage = StageUserData {
            bucket: staging.bucket().to_owned(),
            prefix: staging.of_resource(deployment, id.as_str()),
            contents: contents.short(),
            parts: text.parts().to_vec(),
        };
        self.make(&id, stage, [])?;
        let rest = fetch::user_data(staging.bucket(), &id);
        let render =
            RenderUserData { parts: rest.parts().to_vec(), encoding: UserDataEncoding::Plain };
        let mut boot = self.told(place, user_data, render)?;
        let staged = naming::staged(&contents.short(), &staging);
        boot.staged = Some(staged.value.clone());
        boot.tags.push(staged);
        boot.before.push(id);
        boot.before.extend(self.way_to_s3(place)?);
        Ok(boot)
    }

    /// Where a machine fetches what it is not told, if it can.
    fn can_fetch(
        &self,
        place: &Place<'_>,
        text: &Text,
        error: &pack::TooLarge,
    ) -> Result<Staging, CompileError> {
        const LESS: &str = "ship less in `software.path` and `files` (a package or an image holds \
                            more), or put fewer functionalities on one machine";
        let name = self.name(place.machine);
        if !fetch::can_be_fetched(text) {
            let message = format!(
                "{name}: {error}; what its guest reads at first boot is no `#cloud-config`, and no \
                 other text is fetched from S3"
            );
            return Err(Remark::new(["guest"], message)
                .remedy(format!("{LESS}, or make some of it part of the machine's image"))
                .into());
        }
        let Some(staging) = self.net.staging.clone() else {
            let location = match self.assembly.site.location {
                Some((name, _)) => format!("location {name}"),
                None => "a location of its own".to_owned(),
            };
            return Err(Remark::new(["name"], format!("{name}: {error}"))
                .remedy(format!(
                    "{LESS}; or set `extensions.ec2.staging = \"s3://BUCKET/PREFIX\"` on {location}, \
                     from where machines fetch the rest"
                ))
                .into());
        };
        if self.settings.instance_profile.is_none() {
            let keys = ["extensions", "ec2", "instance-profile"];
            let message = format!(
                "{name}: {error}, so it is to be fetched from {staging}, and the machine has no role \
                 that may"
            );
            return Err(Remark::new(keys, message)
                .remedy(format!(
                    "set `extensions.ec2.instance-profile` on the target to a profile whose role allows \
                     `s3:GetObject` on `arn:aws:s3:::{}/*`",
                    staging.to_string().trim_start_matches("s3://")
                ))
                .into());
        }
        Ok(staging)
    }

    /// The rule by which a machine reaches S3, which is where everybody can: that of its software,
    /// where it has one.
    fn way_to_s3(&mut self, place: &Place<'_>) -> Result<Option<ResourceId>, CompileError> {
        for unit in &place.units {
            if compile::reaches_software(unit, &self.net)? {
                return compile::way_to_software(unit, &self.net)
                    .map(|rule| Some(rule.id().clone()));
            }
        }
        let Some(unit) = place.units.first() else { return Ok(None) };
        let rule = compile::way_to_software(unit, &self.net)?;
        let id = rule.id().clone();
        // Several machines of a pool run one functionality, whose group they share.
        if !self.artifact.resources.contains(&rule) {
            self.artifact.resources.push(rule);
        }
        Ok(Some(id))
    }
}
