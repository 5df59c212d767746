//! One functionality, where it was placed, as resources: who may talk to whom.
//!
//! The machines themselves are [assembled](crate::assemble) for each target.

mod balancer;
mod check;
mod peer;
mod record;
mod rule;

use deployix_core::backend::{Artifact, CompileError, Remark, Unit};
pub(crate) use peer::{Address, autoscaling_group, hosts, public_address};
pub(crate) use record::found_by;
pub(crate) use rule::{group_of, needed_to_boot, reaches_software, way_to_software};

use crate::{guest, network::Net};

/// The quota that AWS gives for rules of one direction in one group (Amazon VPC User Guide, "Amazon
/// VPC quotas"); more have to be asked for.
const RULES: usize = 60;

/// Compiles one functionality or load balancer.
pub(crate) fn compile(unit: &Unit<'_>) -> Result<Artifact, CompileError> {
    let net = Net::of(unit.deployment, &unit.site)?;
    let mut artifact = Artifact::default();
    if unit.balancer.is_none() && guest::is_plain(&unit.site) {
        // Found out here, so that one functionality that cannot run does not stop its machine.
        guest::check(unit)?;
    }
    let rules = rule::rules(unit, &net)?;
    for direction in ["ingress", "egress"] {
        let count = rules.iter().filter(|rule| rule.direction() == direction).count();
        if count > RULES {
            let message = format!("its security group has {count} {direction} rules");
            artifact.remarks.push(Remark::new(["upstream-hosts"], message).remedy(format!(
                "AWS allows {RULES} unless asked for more: request a quota increase of \"Inbound or \
                 outbound rules per security group\""
            )));
        }
    }
    artifact.resources.extend(rule::group(unit, &net)?);
    for rule in rules {
        artifact.resources.push(rule.resource(unit, &net)?);
    }
    if let Some(balanced) = unit.balancer {
        artifact.resources.extend(balancer::compile(unit, balanced, &net)?);
    }
    let record = record::compile(unit, &net, &mut artifact.remarks)?;
    artifact.resources.extend(record);
    Ok(artifact)
}
