//! Finds the provider of every upstream host, and whom a failure touches.

use std::collections::{BTreeMap, BTreeSet};

use super::{Node, Wanted, World};
use crate::{
    backend::endpoints_of,
    diagnostic::{Code, Diagnostic, Diagnostics},
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
    for node in nodes.iter_mut() {
        let consumer = node.name().clone();
        if let Some(balancer) = &node.balancer {
            if let Some(host) = world.hosts.get(&balancer.balances) {
                wanted.push(Wanted {
                    consumer,
                    provider: host.provider.clone(),
                    fqdn: node.functionality.upstream_hosts()[0].clone(),
                    only_port: Some(balancer.target_port.get()),
                });
            }
            continue;
        }
        let mut externals = Vec::new();
        let mut seen = BTreeSet::new();
        for (index, fqdn) in node.functionality.upstream_hosts().iter().enumerate() {
            if !seen.insert(fqdn) {
                continue;
            }
            match world.hosts.get(fqdn) {
                Some(host) => {
                    let provider = host.balancer.as_ref().unwrap_or(&host.provider).clone();
                    wanted.push(Wanted {
                        consumer: consumer.clone(),
                        provider,
                        fqdn: fqdn.clone(),
                        only_port: None,
                    });
                }
                None if world.external_hosts.contains(fqdn) => externals.push(fqdn.clone()),
                None => {
                    let place = node.place(["upstream-hosts", &index.to_string()]);
                    suggestions += 1;
                    found.push(world.not_provided(&consumer, fqdn, suggestions).at(place));
                    failed.insert(consumer.clone());
                }
            }
        }
        if !externals.is_empty() {
            node.externals = externals.into();
        }
    }
    let nodes = &*nodes;
    for Wanted { consumer, provider, .. } in &wanted {
        let Ok(at) = nodes.binary_search_by(|node| node.name().cmp(provider)) else { continue };
        if endpoints_of(&nodes[at].service).next().is_none() && without_endpoint.insert(provider) {
            found.push(
                Diagnostic::warning(
                    Code::UpstreamWithoutEndpoint,
                    format!(
                        "`{consumer}` reaches `{provider}`, which has no endpoint to connect to"
                    ),
                )
                .about(provider)
                .at(nodes[at].place(["fqdn"]))
                .remedy(format!("declare the endpoints of `{provider}`; until then no port opens")),
            );
        }
    }
    wanted
}

impl World {
    fn not_provided(&self, consumer: &Name, fqdn: &Fqdn, count: usize) -> Diagnostic {
        // Every suggestion reads all names, so a file full of errors gets only the first few.
        const SUGGESTIONS: usize = 20;
        if self.incomplete {
            return Diagnostic::error(
                Code::Blocked,
                format!("`{consumer}` needs {fqdn}, which nothing that could be read provides"),
            )
            .about(consumer)
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
    let mut consumers: BTreeMap<&Name, Vec<&Wanted>> = BTreeMap::new();
    for edge in wanted {
        consumers.entry(&edge.provider).or_default().push(edge);
    }
    let mut open: Vec<Name> = failed.iter().cloned().collect();
    while let Some(provider) = open.pop() {
        for edge in consumers.get(&provider).into_iter().flatten() {
            if failed.insert(edge.consumer.clone()) {
                let at = nodes.binary_search_by(|node| node.name().cmp(&edge.consumer)).ok();
                found.push(
                    Diagnostic::error(
                        Code::Blocked,
                        format!(
                            "`{}` needs {}, and `{provider}`, which provides it, cannot be deployed",
                            edge.consumer, edge.fqdn
                        ),
                    )
                    .about(&edge.consumer)
                    .at(at.and_then(|at| nodes[at].place(["upstream-hosts"])))
                    .remedy(format!("mend `{provider}`")),
                );
                open.push(edge.consumer.clone());
            }
        }
    }
}
