//! Security groups as the packet filter before a machine, which nothing on the machine can change.

use std::{collections::BTreeSet, fmt::Write, net::Ipv4Addr};

use deployix_backend_ec2::{
    engine::shape::{NetworkInterface, SecurityGroupRule},
    request::{IpPermission, Value},
};

use crate::strict::World;

/// How load balancers' interfaces are described (Elastic Load Balancing, "Network Load Balancers").
const BALANCER: &str = "ELB ";

/// The filter of an interface, for `nft -f`: what its groups' rules do not let through is dropped.
///
/// Names need no rule on AWS; packages come from the mirror of whoever runs the tests, by HTTP.
/// `balancers` is where load balancers' connections come from here.
pub(crate) fn filter(world: &World, of: &NetworkInterface, balancers: Ipv4Addr) -> String {
    let rules = |is_egress: bool, side: &str| {
        let all = world.rules.all();
        let own =
            all.filter(|rule| rule.is_egress == is_egress && of.groups.contains(&rule.group_id));
        own.map(|rule| lines(world, rule, side, balancers)).collect::<String>()
    };
    // After connections are known (-200) and before what they lead to is changed (-100), and on the
    // way out after all of that (100): Linux's `netfilter_ipv4.h`.
    format!(
        "table ip groups {{}}\n\
         delete table ip groups\n\
         table ip groups {{\n\
         chain into {{\n\
         type filter hook prerouting priority -150\n\
         iifname != eth0 accept\n\
         ct state established,related accept\n\
         {}\
         drop\n\
         }}\n\
         chain out {{\n\
         type filter hook postrouting priority 150\n\
         oifname != eth0 accept\n\
         ct state established,related accept\n\
         {}\
         udp dport 53 accept\n\
         tcp dport {{ 53, 80 }} accept\n\
         drop\n\
         }}\n\
         }}\n",
        rules(false, "saddr"),
        rules(true, "daddr"),
    )
}

/// One rule, a line for each side that it names.
fn lines(world: &World, rule: &SecurityGroupRule, side: &str, balancers: Ipv4Addr) -> String {
    let IpPermission { ip_protocol, from_port, to_port, .. } = &rule.permission;
    let what = match (from_port, to_port) {
        (Some(from), Some(to)) => format!("{} dport {from}-{to}", ip_protocol.as_str()),
        _ => "".to_owned(),
    };
    let mut text = String::new();
    for range in ranges(world, &rule.permission, balancers) {
        let _ = writeln!(text, "ip {side} {range} {what} accept");
    }
    text
}

fn ranges(world: &World, permission: &IpPermission, balancers: Ipv4Addr) -> BTreeSet<String> {
    let mut ranges = BTreeSet::new();
    for range in &permission.ip_ranges {
        if let Value::Known(range) = &range.cidr_ip {
            ranges.insert(range.0.to_string());
        }
    }
    for pair in &permission.user_id_group_pairs {
        let Value::Known(group) = &pair.group_id else { continue };
        for member in world.interfaces.all().filter(|it| it.groups.contains(group)) {
            ranges.insert(member.private_ip_address.to_string());
            if member.description.starts_with(BALANCER) {
                ranges.insert(balancers.to_string());
            }
        }
    }
    ranges
}
