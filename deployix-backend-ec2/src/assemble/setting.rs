//! What AWS would refuse of a target's settings.

use deployix_core::{backend::Remark, spec::Bytes};

use super::STATE_DEVICE;
use crate::extension::TargetSettings;

const GIB: u64 = 1 << 30;

/// The largest disk, in GiB (Amazon EBS User Guide, "Amazon EBS volume types"); of type `standard`
/// ("Previous generation volumes").
const LARGEST: u64 = 16_384;
const LARGEST_STANDARD: u64 = 1024;

/// All that is wrong with the names, kinds and sizes in them.
pub(super) fn check(settings: &TargetSettings) -> Vec<Remark> {
    let mut findings = Findings(Vec::new());
    findings.disk_type(&settings.disk_type);
    findings.sizes(settings);
    findings.root_device(&settings.root_device);
    findings.names(settings);
    findings.0
}

/// A text as far as it is told.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

struct Findings(Vec<Remark>);

impl Findings {
    fn add(&mut self, key: &str, message: String, remedy: &str) {
        self.0.push(Remark::new(["extensions", "ec2", key], message).remedy(remedy));
    }

    fn disk_type(&mut self, disk: &str) {
        let message = match disk {
            "gp2" | "gp3" | "standard" => return,
            "io1" | "io2" => {
                format!("{disk:?} needs a number of IOPS, for which there is no setting")
            }
            "st1" | "sc1" => {
                format!("it is that of both disks, and no machine boots from {disk:?}")
            }
            _ => format!("AWS has no disks of type {:?}", shown(disk)),
        };
        self.add("disk-type", message, "set `disk-type` to \"gp3\", \"gp2\" or \"standard\"");
    }

    fn sizes(&mut self, settings: &TargetSettings) {
        let disks = [("root-disk", settings.root_disk), ("state-disk", Some(settings.state_disk))];
        let disks = disks.into_iter().filter_map(|(key, size)| Some((key, size?)));
        for (key, size @ Bytes(bytes)) in disks {
            if !bytes.is_multiple_of(GIB) || !(GIB..=LARGEST * GIB).contains(&bytes) {
                let message =
                    format!("a disk has whole GiB, 1 to {LARGEST} of them, and not {size}");
                self.add(key, message, "write a size such as \"20GiB\"");
            } else if settings.disk_type == "standard" && bytes > LARGEST_STANDARD * GIB {
                let message = format!(
                    "a disk of type `standard` has up to {LARGEST_STANDARD} GiB, and not {size}"
                );
                self.add(key, message, "write \"1024GiB\" or less, or `disk-type = \"gp3\"`");
            }
        }
    }

    fn root_device(&mut self, root: &str) {
        let message = if root == STATE_DEVICE {
            format!("{STATE_DEVICE} is that of the disk for state")
        } else if is_device(root) {
            return;
        } else {
            format!("{:?} is no device", shown(root))
        };
        let remedy = "set `root-device` to that of the image, such as \"/dev/sda1\"";
        self.add("root-device", message, remedy);
    }

    fn names(&mut self, settings: &TargetSettings) {
        if let Some(key) = settings.key_name.as_deref().filter(|key| !is_key_name(key)) {
            let message = format!(
                "{:?} is no name of a key pair: these have 1 to 255 printable ASCII characters, and \
                 no space at either end",
                shown(key)
            );
            self.add(
                "key-name",
                message,
                "set `key-name` to one that `aws ec2 describe-key-pairs` shows",
            );
        }
        if let Some(name) = settings.instance_profile.as_deref().filter(|name| !is_profile(name)) {
            let message = format!(
                "{:?} is no name of an instance profile: these have 1 to 128 characters, letters, \
                 digits and `+=,.@_-`",
                shown(name)
            );
            self.add(
                "instance-profile",
                message,
                "set `instance-profile` to the name alone, without ARN or path, as `aws iam list-instance-profiles` \
                 shows it",
            );
        }
    }
}

/// `/dev/xvda`, `/dev/sda1` (Amazon EC2 User Guide, "Device names on Linux instances").
fn is_device(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.strip_prefix("/dev/")
        .is_some_and(|name| (1..=32).contains(&name.len()) && name.bytes().all(allowed))
}

/// Amazon EC2 API Reference, `CreateKeyPair`.
fn is_key_name(text: &str) -> bool {
    let allowed = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=255).contains(&text.len()) && text.bytes().all(allowed) && text.trim() == text
}

/// IAM API Reference, `CreateInstanceProfile`.
fn is_profile(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys that something is wrong with.
    fn wrong(change: impl FnOnce(&mut TargetSettings)) -> Vec<String> {
        let mut settings = TargetSettings::default();
        change(&mut settings);
        check(&settings).iter().map(|remark| format!("{remark:?}")).collect()
    }

    #[test]
    fn what_aws_takes_is_taken() {
        assert_eq!(wrong(|_| ()), [""; 0]);
        for kind in ["gp2", "gp3", "standard"] {
            assert_eq!(wrong(|it| it.disk_type = kind.to_owned()), [""; 0], "{kind}");
        }
        let told = wrong(|it| {
            it.root_device = "/dev/sda1".to_owned();
            it.key_name = Some("ops of (one) team".to_owned());
            it.instance_profile = Some("web_role+=,.@-1".to_owned());
        });
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn what_aws_refuses_is_told_by_its_key() {
        for bad in ["", "GP3", "ssd", "io1", "io2", "st1", "sc1"] {
            let told = wrong(|it| it.disk_type = bad.to_owned());
            assert!(told.len() == 1 && told[0].contains("disk-type"), "{bad:?}: {told:?}");
        }
        for bad in ["", "xvda", "/dev/", "/dev/sdf", "/dev/sd a", "/dev/../x", "/DEV/sda"] {
            let told = wrong(|it| it.root_device = bad.to_owned());
            assert!(told.len() == 1 && told[0].contains("root-device"), "{bad:?}: {told:?}");
        }
        for bad in ["", " ops", "ops ", "clé", "a\nb", &"k".repeat(256)] {
            let told = wrong(|it| it.key_name = Some(bad.to_owned()));
            assert!(told.len() == 1 && told[0].contains("key-name"), "{bad:?}: {told:?}");
        }
        let long = "p".repeat(129);
        for bad in ["", "a b", "arn:aws:iam::1:instance-profile/web", "path/web", &long] {
            let told = wrong(|it| it.instance_profile = Some(bad.to_owned()));
            assert!(told.len() == 1 && told[0].contains("instance-profile"), "{bad:?}: {told:?}");
        }
    }

    #[test]
    fn a_magnetic_disk_has_at_most_1024_gib() {
        let told = wrong(|it| {
            it.disk_type = "standard".to_owned();
            it.root_disk = Some(Bytes(1024 << 30));
            it.state_disk = Bytes(1025 << 30);
        });
        assert!(told.len() == 1 && told[0].contains("state-disk"), "{told:?}");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let told = wrong(|it| {
            it.disk_type = "io2".to_owned();
            it.root_device = String::new();
            it.key_name = Some(String::new());
            it.instance_profile = Some(String::new());
        });
        assert_eq!(told.len(), 4, "{told:?}");
    }
}
