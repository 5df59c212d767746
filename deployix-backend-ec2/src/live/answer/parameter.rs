//! Parameters.

use aws_sdk_ssm::types;

use super::text;
use crate::{
    engine::{call::CallError, shape::Parameter},
    request::Tag,
};

impl TryFrom<&types::ParameterMetadata> for Parameter {
    type Error = CallError;

    fn try_from(told: &types::ParameterMetadata) -> Result<Self, CallError> {
        let name = text(told.name(), "Name")?;
        Ok(Self { name, version: told.version(), tags: Vec::new() })
    }
}

impl TryFrom<&types::Tag> for Tag {
    type Error = CallError;

    fn try_from(told: &types::Tag) -> Result<Self, CallError> {
        Ok(Self::new(told.key(), told.value()))
    }
}
