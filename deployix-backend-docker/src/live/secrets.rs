//! Secrets: files in a volume of the program's own, written before it starts.
//!
//! A value goes from where secrets are kept straight into the volume, through the container that
//! holds the namespace: it is in no setting of a container, no label and no variable, so nobody who
//! may only look at containers reads it.

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use deployix_core::{
    SecretName,
    backend::{BackendError, ErrorKind, SecretValue, StepContext},
};

use super::engine::{Engine, found};
use crate::instance::Member;

/// Where a program finds its secrets.
pub(super) const FOLDER: &str = "/run/secrets";

/// Values at hand.
#[derive(Default)]
pub(super) struct Values(Vec<(SecretName, SecretValue)>);

/// Where the container that holds the namespace has a program's secrets.
pub(super) fn folder(container: &str) -> String {
    format!("/deployix/secrets/{container}")
}

impl Values {
    /// The values of a program's secrets.
    ///
    /// # Errors
    /// The secret that is not to be had.
    pub(super) async fn read(
        &mut self,
        member: &Member,
        context: &StepContext<'_>,
    ) -> Result<(), BackendError> {
        for secret in &member.secrets {
            if self.get(&secret.name).is_none() {
                let value = context.secret(&secret.name).await?;
                self.0.push((secret.name.clone(), value));
            }
        }
        Ok(())
    }

    fn get(&self, name: &SecretName) -> Option<&SecretValue> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Writes a program's secrets into its volume, through a container that has it.
    pub(super) async fn write(
        &self,
        engine: &Engine,
        through: &str,
        container: &str,
        member: &Member,
    ) -> Result<(), BackendError> {
        let owner = owner(engine, member).await?;
        let archive = self.archive(member, owner).map_err(|error| {
            BackendError::permanent(ErrorKind::Unexpected, "pack secrets", error.to_string())
        })?;
        let options = UploadToContainerOptionsBuilder::new().path(&folder(container)).build();
        let body = bollard::body_full(archive.into());
        let uploaded = engine.patient().upload_to_container(through, Some(options), body).await;
        uploaded.map_err(|error| engine.error("write secrets", error))
    }

    fn archive(&self, member: &Member, owner: Option<(u64, u64)>) -> std::io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for secret in &member.secrets {
            let Some(value) = self.get(&secret.name) else { continue };
            let bytes = value.expose();
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mtime(0);
            // Where the user's number is not known, whoever runs in the container may read it.
            let (uid, gid) = owner.unwrap_or((0, 0));
            header.set_mode(if owner.is_some() { 0o400 } else { 0o444 });
            header.set_uid(uid);
            header.set_gid(gid);
            archive.append_data(&mut header, secret.name.as_str(), bytes)?;
        }
        archive.into_inner()
    }

    /// A text with no value in it.
    pub(super) fn redact(&self, mut text: String) -> String {
        let values: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(value.expose())))
            .collect();
        let mut parts: Vec<_> = values
            .iter()
            .flat_map(|(name, value)| {
                let parts = std::iter::once(&**value).chain(value.lines()).map(str::trim);
                parts.map(move |part| (part, name))
            })
            // A shorter one would be found everywhere, and tell itself by that.
            .filter(|(part, _)| part.len() > 2)
            .collect();
        // One may begin another, of which the rest would stay.
        parts.sort_by_key(|(part, _)| std::cmp::Reverse(part.len()));
        for (part, name) in parts {
            text = text.replace(part, &format!("(the secret {name})"));
        }
        text
    }
}

/// The numbers of a program's user and group, where both are known.
async fn owner(engine: &Engine, member: &Member) -> Result<Option<(u64, u64)>, BackendError> {
    let own = member.container.user.clone();
    let user = match (own, &member.container.image) {
        (Some(user), _) => user,
        (None, Some(image)) => {
            let image = found(engine.docker().inspect_image(image).await)
                .map_err(|error| engine.error("inspect image", error))?;
            image.and_then(|image| image.config?.user).unwrap_or_default()
        }
        (None, None) => return Ok(None),
    };
    if user.is_empty() {
        return Ok(Some((0, 0)));
    }
    let (uid, gid) = user.split_once(':').unwrap_or((&user, "0"));
    Ok(uid.parse().ok().zip(gid.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_left_out_of_what_is_told() {
        let name = SecretName::new("db").unwrap();
        let values = Values(vec![(name, SecretValue::new(b"p4ssw0rd\nsecond\n".to_vec()))]);
        let told = values.redact("cannot log in with p4ssw0rd: second refused".to_owned());
        assert_eq!(told, "cannot log in with (the secret db): (the secret db) refused");
    }
}
