//! Records of names.

use aws_sdk_route53::{operation as api, types};

use super::{InputError, ToSdk};
use crate::request::{
    AliasTarget, Change, ChangeAction, ChangeBatch, ChangeResourceRecordSets, ResourceRecord,
    ResourceRecordSet,
};

impl ToSdk for ChangeResourceRecordSets {
    type Sdk = api::change_resource_record_sets::builders::ChangeResourceRecordSetsInputBuilder;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let changes = self.change_batch.to_sdk()?;
        Ok(Self::Sdk::default().hosted_zone_id(self.hosted_zone_id.as_str()).change_batch(changes))
    }
}

impl ToSdk for ChangeBatch {
    type Sdk = types::ChangeBatch;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::ChangeBatch::builder().set_changes(self.changes.to_sdk()?).build()?)
    }
}

impl ToSdk for Change {
    type Sdk = types::Change;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let action = match self.action {
            ChangeAction::Create => types::ChangeAction::Create,
            ChangeAction::Delete => types::ChangeAction::Delete,
        };
        let set = self.resource_record_set.to_sdk()?;
        Ok(types::Change::builder().action(action).resource_record_set(set).build()?)
    }
}

impl ToSdk for ResourceRecordSet {
    type Sdk = types::ResourceRecordSet;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let builder = types::ResourceRecordSet::builder()
            .name(&self.name)
            .r#type(self.kind.as_str().into())
            .set_set_identifier(self.set_identifier.clone())
            .set_ttl(self.ttl.map(i64::from))
            .set_resource_records(self.resource_records.to_sdk()?)
            .set_alias_target(self.alias_target.as_ref().map(ToSdk::to_sdk).transpose()?);
        Ok(builder.build()?)
    }
}

impl ToSdk for ResourceRecord {
    type Sdk = types::ResourceRecord;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        Ok(types::ResourceRecord::builder().value(self.value.to_sdk()?).build()?)
    }
}

impl ToSdk for AliasTarget {
    type Sdk = types::AliasTarget;

    fn to_sdk(&self) -> Result<Self::Sdk, InputError> {
        let builder = types::AliasTarget::builder()
            .hosted_zone_id(self.hosted_zone_id.to_sdk()?)
            .dns_name(self.dns_name.to_sdk()?)
            .evaluate_target_health(self.evaluate_target_health);
        Ok(builder.build()?)
    }
}
