//! Parameters.

use aws_sdk_ssm::{operation as api, types};

use super::{InputError, ToSdk};
use crate::request::{ParameterValue, PutParameter, Tag};

impl ToSdk for PutParameter {
    type Sdk = api::put_parameter::builders::PutParameterInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let value = match (&self.value, self.value.expose()) {
            (_, Some(text)) => text,
            (ParameterValue::Secret(name), None) => return Err(InputError::Secret(name.clone())),
            (ParameterValue::Known(_), None) => return Err(InputError::NoText),
        };
        let tags = match self.tags.as_slice() {
            [] => None,
            tags => Some(self::tags(tags)?),
        };
        Ok(Self::Sdk::default()
            .name(&self.name)
            .description(&self.description)
            .value(value)
            .r#type(self.kind.as_str().into())
            .tier(self.tier.as_str().into())
            .overwrite(self.overwrite)
            .set_tags(tags))
    }
}

/// Tags are a type of each API's own.
pub(super) fn tags(tags: &[Tag]) -> Result<Vec<types::Tag>, InputError> {
    let tag = |tag: &Tag| types::Tag::builder().key(&tag.key).value(&tag.value).build();
    Ok(tags.iter().map(tag).collect::<Result<_, _>>()?)
}
