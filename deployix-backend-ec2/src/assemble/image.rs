//! Which machine, and which image it boots.

use std::collections::BTreeSet;

use deployix_core::backend::{CompileError, Remark, Unit};

use crate::{
    extension::{FunctionalitySettings, TargetSettings},
    request::ImageId,
    settings,
};

/// The size of a machine that nobody said anything about: the smallest general one with 2 GiB.
const DEFAULT_TYPE: &str = "t3.small";

/// The size of the machines of a target: as the target says, else as all of those who wish one
/// agree. What was not honoured is remarked on.
pub(super) fn instance_type(
    target: &TargetSettings,
    units: &[&Unit<'_>],
    remarks: &mut Vec<Remark>,
) -> Result<String, CompileError> {
    let mut wishes = Vec::new();
    for unit in units {
        let wish: FunctionalitySettings = settings(unit.extensions)?;
        wishes.extend(wish.instance_type.map(|wish| (unit.name, wish)));
    }
    let distinct: BTreeSet<_> = wishes.iter().map(|(_, wish)| wish.as_str()).collect();
    let chosen = match (&target.instance_type, distinct.iter().next()) {
        (Some(own), _) => own.clone(),
        (None, None) => DEFAULT_TYPE.to_owned(),
        (None, Some(_)) if distinct.len() > 1 => {
            let wish = |(name, wish): &(_, String)| format!("{name} wishes {wish}");
            let list: Vec<_> = wishes.iter().map(wish).collect();
            let message =
                format!("what runs on one machine wishes different ones: {}", list.join(", "));
            return Err(Remark::new(["extensions", "ec2", "instance-type"], message)
                .remedy("set `extensions.ec2.instance-type` on the target")
                .into());
        }
        (None, Some(wish)) => (*wish).to_owned(),
    };
    if !is_type(&chosen) {
        let message = format!("{chosen:?} is no instance type");
        return Err(Remark::new(["extensions", "ec2", "instance-type"], message)
            .remedy("write a type such as \"m5.large\"")
            .into());
    }
    for (name, wish) in wishes.into_iter().filter(|(_, wish)| *wish != chosen) {
        let keys = ["extensions", "ec2", "instance-type"];
        let message = format!("{name} wishes {wish} and runs on {chosen}, as its target says");
        let remark = Remark::new(keys, message);
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }
    Ok(chosen)
}

/// The image of a target's machines: as it says, else Debian for the type's processor. It is
/// Debian 12, and for Docker 13, the first that has version 2 of Compose (`docker-compose`).
///
/// Debian publishes the ids of its images as public parameters (Debian wiki,
/// "Cloud/AmazonEC2Image/Bookworm" and "…/Trixie"), which launch templates resolve when a machine
/// starts. Other guests than Debian with cloud-init need an image of their own.
pub(super) fn image(
    target: &TargetSettings,
    instance_type: &str,
    guest: Option<&str>,
) -> Result<ImageId, CompileError> {
    if let Some(image) = &target.image {
        return Ok(image.clone());
    }
    if let Some(guest) = guest.filter(|guest| *guest == "nixos") {
        let message = format!("its guest is {guest}, and no image is said that has it");
        return Err(Remark::new(["extensions", "ec2", "image"], message)
            .remedy("set `extensions.ec2.image` on the target to the id of a NixOS image")
            .into());
    }
    let processor = if is_arm(instance_type) { "arm64" } else { "amd64" };
    let release = if guest == Some("docker") { 13 } else { 12 };
    ImageId::new(&format!("resolve:ssm:/aws/service/debian/release/{release}/latest/{processor}"))
        .map_err(|error| Remark::new(["extensions", "ec2", "image"], error.to_string()).into())
}

/// Whether a text has the form of a type: `m3.medium`, `u-6tb1.metal`, `m7i-flex.large`.
fn is_type(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.split_once('.').is_some_and(|(family, size)| part(family) && part(size))
}

/// Whether a type has ARM processors: the first of the attributes after the generation is a `g`
/// (Amazon EC2 Instance Types Guide, "Naming conventions"), and the first such family is `a1`.
fn is_arm(instance_type: &str) -> bool {
    let family = instance_type.split('.').next().unwrap_or_default();
    let attributes = family
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1" || attributes.starts_with('g')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_told_by_the_types_name() {
        for arm in
            ["a1.medium", "t4g.small", "m6gd.large", "c7gn.large", "is4gen.medium", "g5g.xlarge"]
        {
            assert!(is_arm(arm), "{arm}");
        }
        for amd in
            ["m3.medium", "t3.small", "g4dn.xlarge", "m7i-flex.large", "c5n.large", "g5.large"]
        {
            assert!(!is_arm(amd), "{amd}");
        }
    }

    #[test]
    fn types_have_a_family_and_a_size() {
        for good in ["m3.medium", "u-6tb1.metal", "m7i-flex.large"] {
            assert!(is_type(good), "{good}");
        }
        for bad in ["", "m3", "m3.", ".medium", "M3.medium", "m3 .medium"] {
            assert!(!is_type(bad), "{bad}");
        }
    }
}
