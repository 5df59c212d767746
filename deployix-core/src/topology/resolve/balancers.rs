//! Puts load balancers into the graph, between an fqdn's consumers and its provider.

use std::{collections::BTreeSet, num::NonZeroU16, sync::Arc};

use super::{super::balancer, End, Hosts, Node, upstreams::provider_of};
use crate::{
    backend::endpoints_of,
    diagnostic::{Cause, Code, Diagnostic, Diagnostics},
    name::{Fqdn, Name, NameError},
    spec::{Infrastructure, LoadBalancer, Service},
    suggest::nearest,
};

/// Puts each load balancer between its provider and whoever names the fqdn.
///
/// Where one cannot be put there, whoever names the fqdn misses it: past it they would reach other
/// ports than they were told.
pub(super) fn add(
    infrastructure: &Infrastructure,
    nodes: &mut Vec<Node>,
    hosts: &mut Hosts,
    unread: &[Cause],
    failed: &mut BTreeSet<Name>,
    found: &mut Diagnostics,
) {
    for balancer in infrastructure.load_balancers.values() {
        let source = infrastructure.source_of("load-balancer", &balancer.name);
        let node = node_name(balancer).and_then(|name| {
            let node = node(&name, balancer, nodes, hosts, unread);
            node.map_err(|refusal| refusal.of(Some(name)))
        });
        let name = match node {
            Ok(mut node) => {
                let name = node.name().clone();
                node.source = source;
                nodes.insert(nodes.partition_point(|other| *other.name() < name), node);
                name
            }
            Err(Refusal { name, code, key, message, remedy, because, hidden }) => {
                let path = ["load-balancer", balancer.name.as_str(), key];
                let message = format!("load balancer `{}`: {message}", balancer.name);
                let mut refused = Diagnostic::error(code, message)
                    .of(Cause::load_balancer(balancer.name.clone()))
                    .because(because)
                    .at(source.as_ref().and_then(|source| source.place(&path)))
                    .remedy(remedy);
                refused.hides.extend(hidden);
                found.push(refused);
                let Some(name) = name else { continue };
                failed.insert(name.clone());
                name
            }
        };
        if let Some(host) = hosts.get_mut(&balancer.balances) {
            host.balancer.get_or_insert(End::new(name));
        }
    }
}

/// Why a load balancer cannot be put into the graph.
struct Refusal {
    /// The node that is missed.
    name: Option<Name>,
    code: Code,
    key: &'static str,
    message: String,
    remedy: String,
    /// What it comes of, where it is no mistake itself.
    because: Vec<Cause>,
    /// What may be described in what could not be read.
    hidden: Option<String>,
}

impl Refusal {
    fn new(code: Code, key: &'static str, message: String, remedy: impl Into<String>) -> Self {
        let (remedy, because) = (remedy.into(), Vec::new());
        Self { name: None, code, key, message, remedy, because, hidden: None }
    }

    fn of(self, name: Option<Name>) -> Self {
        Self { name, ..self }
    }

    fn too_long(error: &NameError) -> Self {
        Self::new(Code::ValueInvalid, "", error.to_string(), "choose a shorter name")
    }
}

fn node_name(balancer: &LoadBalancer) -> Result<Name, Refusal> {
    balancer::node_name(&balancer.name).map_err(|error| Refusal::too_long(&error))
}

fn node(
    name: &Name,
    balancer: &LoadBalancer,
    nodes: &[Node],
    hosts: &Hosts,
    unread: &[Cause],
) -> Result<Node, Refusal> {
    let fqdn = &balancer.balances;
    let find = |name: &Name| nodes.binary_search_by(|node| node.name().cmp(name)).ok();
    if find(name).is_some() {
        let message =
            format!("it stands among the functionalities as `{name}`, and there is one already");
        return Err(Refusal::new(Code::NameTaken, "", message, "rename one of the two"));
    }
    let Some(host) = hosts.get(fqdn) else {
        if !unread.is_empty() {
            let message = format!("nothing that could be read provides {fqdn}");
            let remedy = "mend the functionalities and catalogs that could not be read";
            let refusal = Refusal::new(Code::Blocked, "balances", message, remedy);
            let hidden = Some(provider_of(fqdn));
            return Err(Refusal { because: unread.to_vec(), hidden, ..refusal });
        }
        let remedy = match nearest(fqdn.as_str(), hosts.keys().map(Fqdn::as_str)) {
            Some(known) => format!("did you mean {known}?"),
            None => "balance over the fqdn of a functionality".to_owned(),
        };
        let message = format!("{fqdn} is no functionality's fqdn");
        return Err(Refusal::new(Code::ReferenceUnknown, "balances", message, remedy));
    };
    if let Some(other) = &host.balancer {
        let message = format!("{fqdn} is balanced by `{}` already", other.name);
        return Err(Refusal::new(Code::FqdnTaken, "balances", message, "keep one of the two"));
    }
    let named = &host.provider.name;
    let Some(provider) = find(named) else {
        let message = format!("`{named}`, which provides {fqdn}, cannot be deployed");
        let remedy = format!("mend `{named}`");
        let because = vec![Cause::Functionality(named.clone())];
        let refusal = Refusal::new(Code::Blocked, "balances", message, remedy);
        return Err(Refusal { because, ..refusal });
    };
    let ports: BTreeSet<_> =
        endpoints_of(nodes[provider].service()).map(|e| e.endpoint.port).collect();
    let listed = |ports: &BTreeSet<NonZeroU16>| {
        ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let missing = &balancer.listeners.target_ports() - &ports;
    if !missing.is_empty() {
        let s = if missing.len() == 1 { "" } else { "s" };
        let message = format!("`{named}` has no endpoint at port{s} {}", listed(&missing));
        let list = listed(&ports);
        let remedy = match list.as_str() {
            "" => format!("declare the endpoint in `{named}`"),
            list => format!("its ports are {list}"),
        };
        let one = balancer.listeners.iter().len() == 1;
        let key = if one { "target-port" } else { "listeners" };
        return Err(Refusal::new(Code::ReferenceUnknown, key, message, remedy));
    }
    let spec = balancer::functionality(name, balancer, named)
        .map_err(|error| Refusal::too_long(&error))?;
    let service = spec.service.lower().map_err(|error| {
        Refusal::new(Code::ServiceInvalid, "", error.to_string(), "change its settings")
    })?;
    Ok(Node {
        functionality: spec.with_service(service),
        externals: Arc::new([]),
        balancer: Some(Arc::new(balancer.clone())),
        source: None,
    })
}
