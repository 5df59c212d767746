//! Secrets of a target as parameters of Parameter Store, from where its machines fetch them.
//!
//! A target has parameters of its own, below `/deployix/DEPLOYMENT/TARGET/`, so that the role of its
//! machines needs to read no others. It has to allow `ssm:GetParameter` on
//! `arn:aws:ssm:REGION:ACCOUNT:parameter/deployix/DEPLOYMENT/TARGET/*`; the key that they are
//! encrypted with, `alias/aws/ssm`, lets all of the account decrypt that may read them, so
//! `kms:Decrypt` is needed only where a policy of the organization takes that away.

use std::collections::BTreeSet;

use deployix_core::{
    Digest, ResourceId, SecretName,
    backend::{CompileError, Input, Remark, Resource, Unit},
};

use super::Job;
use crate::{
    guest, naming,
    request::{ParameterValue, PutParameter},
    resource::OPERATION,
};

impl Job<'_> {
    /// The path that the target's parameters are below.
    fn parameters(&self) -> String {
        let target = &self.assembly.site.target.name;
        format!("/deployix/{}/{target}", self.assembly.deployment)
    }

    /// The path of the parameters that what runs on a machine fetches, where it fetches any.
    pub(super) fn fetched_from(&self, units: &[&Unit<'_>]) -> Result<Option<String>, CompileError> {
        for unit in units {
            if guest::fetches_secrets(unit)? {
                return Ok(Some(self.parameters()));
            }
        }
        Ok(None)
    }

    fn parameter(&self, secret: &SecretName) -> Result<ResourceId, CompileError> {
        naming::secret(&self.assembly.site.target.name, secret)
    }

    /// The parameters that a machine waits for.
    pub(super) fn secrets_before(
        &self,
        units: &[&Unit<'_>],
    ) -> Result<Vec<ResourceId>, CompileError> {
        let mut needed = Vec::new();
        for unit in units {
            if guest::fetches_secrets(unit)? {
                for secret in unit.secrets() {
                    needed.push(self.parameter(secret)?);
                }
            }
        }
        Ok(needed)
    }

    /// The parameters of all secrets that what runs there takes, once its machines are compiled.
    ///
    /// A parameter tells in its description of the launch templates, so that it is written again, with
    /// the secret's value as it is then, before any machine is made anew.
    pub(super) fn secrets(&mut self) -> Result<(), CompileError> {
        let units = self.units(None);
        let all: BTreeSet<_> = units.iter().flat_map(|unit| unit.secrets()).cloned().collect();
        if all.is_empty() {
            return Ok(());
        }
        let Some(path) = self.fetched_from(&units)? else {
            self.by_other_means();
            return Ok(());
        };
        let templates = self.artifact.resources.iter().filter(|it| makes_template(it));
        let templates: Vec<_> = templates.map(Resource::digest).collect();
        let version = Digest::of(&templates)
            .map_err(|error| Remark::new(["name"], error.to_string()))?
            .short();
        for secret in all {
            let id = self.parameter(&secret)?;
            let put = PutParameter {
                name: format!("{path}/{secret}"),
                description: format!("for the machines of {}, version {version}", self.name(None)),
                value: ParameterValue::Secret(secret),
                kind: "SecureString".to_owned(),
                tier: "Intelligent-Tiering".to_owned(),
                overwrite: false,
                tags: naming::tags(self.assembly.deployment, &self.name(None), &id),
            };
            self.make(&id, put, [])?;
        }
        Ok(())
    }

    /// Says where the machines expect their secrets.
    fn by_other_means(&mut self) {
        let site = self.assembly.site;
        let remark = if guest::is_plain(&site) {
            let message = format!(
                "the secrets of what runs there are expected on its machines, in {}, and nothing \
                 puts them there",
                guest::SECRETS
            );
            Remark::new(["extensions", "ec2", "instance-profile"], message).remedy(format!(
                "set `extensions.ec2.instance-profile` to one whose role may `ssm:GetParameter` on \
                 `parameter{}/*`, so that machines fetch them from Parameter Store; or put them there",
                self.parameters()
            ))
        } else {
            let message = "the secrets of what runs there are expected on its machines, where its \
                           guest takes them, and nothing puts them there";
            Remark::new(["guest"], message).remedy(
                "leave `guest` out, so that machines with an `instance-profile` fetch them from \
                 Parameter Store; or put them there",
            )
        };
        self.artifact.remarks.push(remark);
    }
}

fn makes_template(resource: &Resource) -> bool {
    resource.inputs().get(OPERATION) == Some(&Input::from("CreateLaunchTemplate"))
}
