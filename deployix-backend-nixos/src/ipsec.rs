//! Machines that talk over IPsec: strongSwan in transport mode, each side known by its certificate.
//!
//! Policies are installed before any packet flows (`start_action = trap`) and cover everything
//! between the two machines: what would leave in clear text is held until there is a key, and what
//! arrives in clear text is dropped by the kernel. The firewall asks for IPsec once more in both
//! directions, for the time when the daemon that holds the policies does not run.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::Name;
use deployix_core::backend::{CompileError, Peer, Remark, Unit, Via};
use deployix_core::spec::TargetKind;

use crate::compile::{Form, sources};
use crate::nftables::{self, Opening, Source, Traffic};
use crate::syntax::{Attrs, Expr, Part};

/// Where a machine keeps its own certificate; issued by the deployment's CA, for the name that
/// [`identity`] gives.
pub(crate) const CERTIFICATE: &str = "/var/lib/deployix/pki/machine.crt";
/// Where a machine keeps its private key, which never leaves it.
pub(crate) const PRIVATE_KEY: &str = "/var/lib/deployix/pki/machine.key";

/// The name in a machine's certificate: `TARGET.DEPLOYMENT`, with the machine's number where there
/// are several.
pub(crate) fn identity(deployment: &Name, target: &Name, kind: TargetKind, machine: u32) -> String {
    match kind {
        TargetKind::Pool { .. } => format!("{target}-{machine}.{deployment}"),
        _ => format!("{target}.{deployment}"),
    }
}

/// A machine at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Other {
    identity: String,
    address: Source,
}

/// The machine that is configured.
#[derive(Clone, Debug)]
pub(crate) struct Here {
    /// The name in its certificate.
    pub(crate) identity: String,
    /// The file with the certificate of the deployment's CA.
    pub(crate) authority: Expr,
}

/// Those whom units talk to, whichever end they are.
pub(crate) fn peers<'u>(
    units: impl IntoIterator<Item = &'u Unit<'u>>,
) -> impl Iterator<Item = &'u Peer<'u>> {
    units.into_iter().flat_map(|unit| unit.upstreams.iter().chain(&unit.consumers))
}

/// The settings for one machine of a deployment, on which something talks to these; `None` where to
/// none of them over IPsec.
pub(crate) fn settings<'p>(
    here: &Here,
    deployment: &Name,
    peers: impl IntoIterator<Item = &'p Peer<'p>>,
    form: Form<'_>,
) -> Result<Option<Attrs>, CompileError> {
    let mut reasons = Vec::new();
    let mut others: BTreeMap<String, Other> = BTreeMap::new();
    for peer in peers.into_iter().filter(|peer| peer.via == Via::Ipsec) {
        match sources(peer, form) {
            Err(remark) => reasons.push(remark),
            Ok(addresses) => {
                for (&machine, address) in peer.machines.iter().zip(addresses) {
                    let target = peer.site.target;
                    let identity = identity(deployment, &target.name, target.kind, machine);
                    let name = format!("{}-{machine}", target.name);
                    others.insert(name, Other { identity, address });
                }
            }
        }
    }
    if !reasons.is_empty() {
        reasons.sort();
        reasons.dedup();
        return Err(CompileError { reasons });
    }
    if others.is_empty() {
        return Ok(None);
    }
    let mut settings = Attrs::new()
        .with(
            ["environment", "etc", "swanctl/x509ca/deployix.pem", "source"],
            here.authority.clone(),
        )
        .with(["environment", "etc", "swanctl/private/deployix.pem", "source"], PRIVATE_KEY)
        .with(["services", "strongswan-swanctl", "enable"], true);
    let mut openings = BTreeSet::new();
    for (name, other) in others {
        let connection = connection(here, &other);
        settings
            .set(["services", "strongswan-swanctl", "swanctl", "connections", &name], connection);
        openings.insert(Opening {
            comment: format!("IPsec with {}", other.identity),
            from: other.address,
            what: Traffic::Ipsec,
        });
    }
    let rules: Vec<Part> = openings.iter().flat_map(Opening::rules).collect();
    let refused = nftables::only_encrypted(openings.iter().map(|opening| &opening.from));
    let table = Attrs::new().with(["family"], "inet").with(["content"], Expr::Str(refused));
    settings.set(["networking", "nftables", "tables", "deployix-ipsec"], table);
    settings.set(["networking", "firewall", "extraInputRules"], Expr::Str(rules));
    Ok(Some(settings))
}

/// A connection of swanctl.conf(5).
fn connection(here: &Here, other: &Other) -> Attrs {
    let remote: Expr = match &other.address {
        Source::Net(net) => net.addr().to_string().into(),
        Source::Variable(name) => Expr::var(name),
        Source::Anywhere => "%any".into(),
    };
    Attrs::new()
        .with(["version"], 2_i64)
        .with(["mobike"], false)
        .with(["remote_addrs"], vec![remote])
        .with(["proposals"], ["aes256gcm16-prfsha384-ecp384"])
        .with(["keyingtries"], 0_i64)
        .with(["dpd_delay"], "30s")
        .with(["local", "main", "auth"], "pubkey")
        .with(["local", "main", "certs"], [CERTIFICATE])
        .with(["local", "main", "id"], here.identity.as_str())
        .with(["remote", "main", "auth"], "pubkey")
        .with(["remote", "main", "cacerts"], ["deployix.pem"])
        .with(["remote", "main", "id"], other.identity.as_str())
        .with(
            ["children", "all"],
            Attrs::new()
                .with(["mode"], "transport")
                .with(["esp_proposals"], ["aes256gcm16-ecp384"])
                .with(["start_action"], "trap")
                .with(["close_action"], "trap")
                .with(["dpd_action"], "trap"),
        )
}

/// The refusal of a connection that nobody can vouch for.
pub(crate) fn no_authority() -> Remark {
    Remark::new(
        ["network"],
        "machines in different networks talk over IPsec, and the deployment has no certificate \
         authority to know them by",
    )
    .remedy("give the deployment a `ca`, or put the targets into one network")
}
