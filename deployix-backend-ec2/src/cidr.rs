//! Arithmetic with ranges of addresses.

use ipnet::Ipv4Net;

/// Tells that a range of addresses cannot be divided or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CidrError {
    /// AWS takes other sizes.
    #[error("{0} is not between /16 and /28, the sizes that AWS takes")]
    Size(Ipv4Net),
    /// AWS takes the first address of a range only.
    #[error("{0} is not the first address of its range; {1} is")]
    HostBits(Ipv4Net, Ipv4Net),
    /// There are more parts than fit.
    #[error("{range} has no room for {parts} subnets of at least 16 addresses")]
    NoRoom {
        /// The range.
        range: Ipv4Net,
        /// How many parts were asked for.
        parts: usize,
    },
}

/// Checks that AWS takes a range for a network or subnet: /16 to /28 (Amazon VPC User Guide, "VPC
/// CIDR blocks").
///
/// # Errors
/// Tells what is wrong with it.
pub fn check(range: Ipv4Net) -> Result<Ipv4Net, CidrError> {
    if !(16..=28).contains(&range.prefix_len()) {
        return Err(CidrError::Size(range));
    }
    if range != range.trunc() {
        return Err(CidrError::HostBits(range, range.trunc()));
    }
    Ok(range)
}

/// Divides a range into subnets of one size: into 16, or more where that is not enough.
///
/// Sixteen leave room for further zones, so that a zone added later moves no subnet.
///
/// # Errors
/// Where the range is none that AWS takes, or too small.
pub fn subnets(range: Ipv4Net, parts: usize) -> Result<Vec<Ipv4Net>, CidrError> {
    let range = check(range)?;
    let no_room = || CidrError::NoRoom { range, parts };
    let wanted = parts.max(1).next_power_of_two().max(16);
    // A small range is divided no further than AWS takes, as long as there is room for all parts.
    let bits = u8::try_from(wanted.trailing_zeros()).map_err(|_| no_room())?;
    let prefix = range.prefix_len().saturating_add(bits).min(28);
    let subnets: Vec<_> = range.subnets(prefix).map_err(|_| no_room())?.take(parts).collect();
    if subnets.len() == parts { Ok(subnets) } else { Err(no_room()) }
}

/// Whether two ranges have an address in common.
#[must_use]
pub fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_divided_into_sixteen() {
        let parts = subnets(net("10.0.0.0/16"), 3).unwrap();
        assert_eq!(parts, [net("10.0.0.0/20"), net("10.0.16.0/20"), net("10.0.32.0/20")]);
    }

    #[test]
    fn a_small_network_is_divided_as_far_as_aws_takes() {
        assert_eq!(subnets(net("10.0.0.0/26"), 4).unwrap().last(), Some(&net("10.0.0.48/28")));
        assert!(matches!(subnets(net("10.0.0.0/26"), 5), Err(CidrError::NoRoom { .. })));
    }

    #[test]
    fn ranges_that_aws_refuses_are_refused() {
        assert!(matches!(check(net("10.0.0.0/8")), Err(CidrError::Size(_))));
        assert!(matches!(check(net("10.0.0.0/29")), Err(CidrError::Size(_))));
        assert!(matches!(check(net("10.0.0.1/16")), Err(CidrError::HostBits(..))));
    }
}
