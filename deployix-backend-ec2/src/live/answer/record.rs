//! Records of names.

use aws_sdk_route53::{operation::list_resource_record_sets::ListResourceRecordSetsOutput, types};

use crate::{
    engine::call::CallError,
    request::{AliasTarget, BalancerDnsName, BalancerZoneId, ResourceRecord, ResourceRecordSet},
};

impl TryFrom<&types::ResourceRecordSet> for ResourceRecordSet {
    type Error = CallError;

    fn try_from(told: &types::ResourceRecordSet) -> Result<Self, CallError> {
        let ttl = told.ttl().map(u32::try_from).transpose();
        let record =
            |it: &types::ResourceRecord| ResourceRecord { value: it.value().to_owned().into() };
        let alias = |it: &types::AliasTarget| AliasTarget {
            hosted_zone_id: BalancerZoneId(it.hosted_zone_id().to_owned()).into(),
            dns_name: BalancerDnsName(it.dns_name().to_owned()).into(),
            evaluate_target_health: it.evaluate_target_health(),
        };
        Ok(Self {
            name: told.name().trim_end_matches('.').to_ascii_lowercase(),
            kind: told.r#type().as_str().to_owned(),
            set_identifier: told.set_identifier().map(str::to_owned),
            ttl: ttl.map_err(|error| CallError::unreadable(format!("TTL: {error}")))?,
            resource_records: told.resource_records().iter().map(record).collect(),
            alias_target: told.alias_target().map(alias),
        })
    }
}

/// Where a page of records begins: name, type and identifier, with blanks between them, of which the
/// first two have none.
pub(in crate::live) fn next_page(told: &ListResourceRecordSetsOutput) -> Option<String> {
    let name = told.next_record_name().filter(|_| told.is_truncated())?;
    let kind = told.next_record_type().map(types::RrType::as_str).unwrap_or_default();
    Some(format!("{name} {kind} {}", told.next_record_identifier().unwrap_or_default()))
}

/// The same, taken apart again.
pub(in crate::live) fn page_from(token: &str) -> [Option<String>; 3] {
    let mut parts = token.splitn(3, ' ').filter(|part| !part.is_empty()).map(str::to_owned);
    [parts.next(), parts.next(), parts.next()]
}
