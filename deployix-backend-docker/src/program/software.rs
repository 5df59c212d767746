//! Where a program comes from, and who runs it.

use deployix_core::{AbsolutePath, backend::Remark, spec::UserName};

use super::Lowering;
use crate::{
    dockerfile::image_reference,
    image::{Software, USER_ID},
};

impl<'a> Lowering<'a, '_> {
    pub(super) fn software(&mut self) -> Option<Software<'a>> {
        let software = &self.spec.software;
        if let Some(image) = &software.image {
            return match image_reference(image) {
                Ok(image) => Some(Software::Ready(image)),
                Err(error) => {
                    self.notes.refuse(
                        &["software", "image"],
                        error.to_string(),
                        "write NAME:TAG or NAME@sha256:DIGEST",
                    );
                    None
                }
            };
        }
        if software.debian.is_empty() && software.path.is_none() && !software.nix.is_empty() {
            self.notes.refuse(
                &["software", "nix"],
                "its software is known for Nix alone",
                "add software.debian or software.image, or place it on a NixOS target",
            );
            return None;
        }
        for package in &software.debian {
            if !is_package(package) {
                self.notes.refuse(
                    &["software", "debian"],
                    format!("{package:?} is not a package such as `python3` or `python3=3.11.2-1`"),
                    "name Debian packages, one each",
                );
            }
        }
        let named = self.spec.user.as_ref().map(UserName::as_str);
        if named == Some("root") {
            self.notes.refuse(
                &["user"],
                "programs do not run as root",
                "name another user; a port below 1024 needs none",
            );
        }
        let own = UserName::new(self.unit.name.as_str()).map(|_| self.unit.name.as_str());
        let home = self.spec.state.iter().next().map(AbsolutePath::as_str);
        Some(Software::Packages {
            packages: &software.debian,
            user: named.unwrap_or(own.unwrap_or("app")).to_owned(),
            home: home.filter(|home| !home.contains(':')).unwrap_or("/nonexistent"),
        })
    }

    pub(super) fn user(&mut self) -> Option<String> {
        let own = Some(USER_ID.to_owned());
        let ready_image = self.spec.software.image.is_some();
        match &self.settings.user {
            Some(user) if !ready_image => {
                self.notes.problems.push(
                    Remark::new(
                        ["extensions", "docker", "user"],
                        format!("`{user}` is for ready images; this one's user is made"),
                    )
                    .remedy("name the user in service.user"),
                );
                own
            }
            Some(user) if user == "image" => None,
            Some(user) => {
                let part = |part: &str| {
                    !part.is_empty()
                        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
                };
                let (name, group) = user.split_once(':').unwrap_or((user, "0"));
                if !part(name) || !part(group) {
                    self.notes.problems.push(
                        Remark::new(
                            ["extensions", "docker", "user"],
                            format!("{user:?} is neither `image` nor a user, or user:group"),
                        )
                        .remedy("write a name or number that the image knows, such as `1000:1000`"),
                    );
                }
                if matches!(name, "root" | "0") {
                    self.notes.remarks.push(Remark::new(
                        ["extensions", "docker", "user"],
                        "it runs as root inside its container",
                    ));
                }
                Some(user.clone())
            }
            None => {
                if ready_image && let Some(user) = &self.spec.user {
                    let message = format!(
                        "it runs as {USER_ID} and not as `{user}`: which users a ready image \
                         knows is not known here"
                    );
                    let remedy =
                        format!("set extensions.docker.user = \"{user}\" if the image knows it");
                    self.notes.remark(&["user"], message, remedy);
                }
                own
            }
        }
    }
}

/// A package's name with architecture, version or release as apt-get(8) takes them. A name that
/// ends in a hyphen would be removed, and other characters make it a pattern.
fn is_package(text: &str) -> bool {
    let end = text.find([':', '=', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() > 1
        && name.bytes().next().is_some_and(lower)
        && name.bytes().all(|b| lower(b) || b"+-.".contains(&b))
        && !name.ends_with('-')
        && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b":=/+-.~_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_names_and_never_options_or_patterns() {
        for good in ["python3", "g++", "libc6:amd64", "git=1:2.39.5-0+deb12u1", "curl/bookworm"] {
            assert!(is_package(good), "{good}");
        }
        for bad in ["", "a", "-y", "git-", "git*", "Git", "git curl", "git;id", "git\n", "$(id)"] {
            assert!(!is_package(bad), "{bad}");
        }
    }
}
