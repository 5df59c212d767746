//! Finds the provider of every upstream host, and whom a failure touches.

use std::collections::{BTreeMap, BTreeSet};

use super::{End, Node, Wanted, World};
use crate::{
    diagnostic::{Cause, Code, Diagnostic, Diagnostics},
    name::{Fqdn, Name},
    suggest::nearest,
};

/// Finds the provider of every upstream host.
pub(super) fn find(
    nodes: &mut [Node],
    world: &World,
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    let mut suggestions = 0;
    let mut without_endpoint = BTreeSet::new();
    for (consumer, node) in (0u32..).zip(nodes.iter_mut()) {
        if let Some(balancer) = &node.balancer {
            if let Some(host) = world.hosts.get(&balancer.balances) {
                wanted.push(Wanted {
                    consumer,
                    provider: host.provider.clone(),
                    fqdn: node.functionality.upstream_hosts[0].clone(),
                });
            }
            continue;
        }
        let mut externals = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, fqdn) in node.functionality.upstream_hosts.iter().enumerate() {
            if !seen.insert(fqdn) {
                continue;
            }
            match world.hosts.get(fqdn) {
                Some(host) => wanted.push(Wanted {
                    consumer,
                    provider: host.balancer.as_ref().unwrap_or(&host.provider).clone(),
                    fqdn: fqdn.clone(),
                }),
                None if world.external_hosts.contains(fqdn) => externals.push(fqdn.clone()),
                None => {
                    let place = node.place(["upstream-hosts", &index.to_string()]);
                    suggestions += 1;
                    found.push(world.not_provided(node.name(), fqdn, suggestions).at(place));
                    failed.insert(node.name().clone());
                }
            }
        }
        if !externals.is_empty() {
            node.externals = externals.into();
        }
    }
    let nodes = &*nodes;
    for Wanted { consumer, provider: End { name: provider, at }, .. } in &wanted {
        let Some(at) = *at else { continue };
        let reached = &nodes[at as usize];
        let mut services = reached.service().members().map(|(_, service)| service);
        if services.all(|service| service.endpoints.is_empty()) && without_endpoint.insert(at) {
            let consumer = nodes[*consumer as usize].name();
            found.push(
                Diagnostic::warning(
                    Code::UpstreamWithoutEndpoint,
                    format!(
                        "`{consumer}` reaches `{provider}`, which has no endpoint to connect to"
                    ),
                )
                .about(provider)
                .at(reached.place(["fqdn"]))
                .remedy(format!("declare the endpoints of `{provider}`; until then no port opens")),
            );
        }
    }
    wanted
}

/// What may be described in what could not be read.
pub(super) fn provider_of(fqdn: &Fqdn) -> String {
    format!("a provider of {fqdn}")
}

impl World {
    fn not_provided(&self, consumer: &Name, fqdn: &Fqdn, count: usize) -> Diagnostic {
        // Every suggestion reads all names, so a file full of errors gets only the first few.
        const SUGGESTIONS: usize = 20;
        if !self.unread.is_empty() {
            return Diagnostic::error(
                Code::Blocked,
                format!("`{consumer}` needs {fqdn}, which nothing that could be read provides"),
            )
            .about(consumer)
            .because(self.unread.iter().cloned())
            .hidden(provider_of(fqdn))
            .remedy("mend the functionalities and catalogs that could not be read");
        }
        let known = self.hosts.keys().chain(&self.external_hosts).map(Fqdn::as_str);
        let near = (count <= SUGGESTIONS).then(|| nearest(fqdn.as_str(), known)).flatten();
        let external = format!("add {fqdn} to `external-hosts` if it is not deployed here");
        Diagnostic::error(
            Code::UpstreamNotProvided,
            format!("`{consumer}` needs {fqdn}, which is no functionality's fqdn"),
        )
        .about(consumer)
        .remedy(match near {
            Some(near) => format!("did you mean {near}? else {external}"),
            None => external,
        })
    }
}

/// Leaves out everything that depends on something left out.
pub(super) fn leave_out_dependents(
    nodes: &[Node],
    wanted: &[Wanted],
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) {
    if failed.is_empty() {
        return;
    }
    let mut consumers: BTreeMap<&Name, Vec<&Wanted>> = BTreeMap::new();
    for edge in wanted {
        consumers.entry(&edge.provider.name).or_default().push(edge);
    }
    let mut open: Vec<Name> = failed.iter().cloned().collect();
    while let Some(provider) = open.pop() {
        for edge in consumers.get(&provider).into_iter().flatten() {
            let consumer = &nodes[edge.consumer as usize];
            if failed.insert(consumer.name().clone()) {
                found.push(
                    Diagnostic::error(
                        Code::Blocked,
                        format!(
                            "`{}` needs {}, and `{provider}`, which provides it, cannot be deployed",
                            consumer.name(),
                            edge.fqdn
                        ),
                    )
                    .about(consumer.name())
                    .because([Cause::Functionality(provider.clone())])
                    .at(consumer.place(["upstream-hosts"]))
                    .remedy(format!("mend `{provider}`")),
                );
                open.push(consumer.name().clone());
            }
        }
    }
}
