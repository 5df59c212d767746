//! Talking to machines of other networks: strongSwan in transport mode, each side known by a
//! certificate of the deployment's authority.
//!
//! The machine's own certificate and key are put there by other means, as secrets are. Before they
//! are, nothing flows: security groups let nothing but IPsec in and out.

use std::collections::BTreeMap;

use deployix_core::{
    Name,
    backend::{CompileError, Unit, Via},
    spec::TargetKind,
};

use super::service::text_file;
use crate::{
    compile::{Address, public_address},
    user_data::{cloud_config::WriteFile, text::Text},
};

/// Debian's packages for it.
pub(super) const PACKAGES: [&str; 2] = ["charon-systemd", "strongswan-swanctl"];

/// The unit that they bring.
pub(super) const SERVICE: &str = "strongswan.service";

/// Where the machine's own certificate and key are put; the same on all machines of a deployment,
/// whatever they run.
const CERTIFICATE: &str = "/var/lib/deployix/pki/machine.crt";
const KEY: &str = "/var/lib/deployix/pki/machine.key";

/// Where strongSwan looks for the authority's certificate and its own key (swanctl(8)).
const AUTHORITY: &str = "/etc/swanctl/x509ca/deployix.pem";
const OWN_KEY: &str = "/etc/swanctl/private/deployix.pem";

/// What a machine needs for it.
#[derive(Debug)]
pub(crate) struct Ipsec {
    /// The name in its certificate.
    identity: String,
    /// The authority's certificate.
    authority: String,
    /// The machines at the other ends, by a name for each.
    others: BTreeMap<String, Other>,
}

#[derive(Debug)]
struct Other {
    identity: String,
    address: Address,
}

/// The name in a machine's certificate: `TARGET.DEPLOYMENT`, with its number where its target has
/// several machines.
fn identity(deployment: &Name, target: &Name, kind: TargetKind, machine: u32) -> String {
    match kind {
        TargetKind::Pool { .. } => format!("{target}-{machine}.{deployment}"),
        _ => format!("{target}.{deployment}"),
    }
}

impl Ipsec {
    /// What a machine with these units needs; `None` where none of them needs it, or there is no
    /// authority, without which the core connects nothing this way.
    pub(crate) fn of(
        units: &[&Unit<'_>],
        machine: u32,
        authority: Option<&str>,
    ) -> Result<Option<Self>, CompileError> {
        let mut others = BTreeMap::new();
        for unit in units {
            let peers = unit.upstreams.iter().chain(&unit.consumers);
            for peer in peers.filter(|peer| peer.via == Via::Ipsec) {
                let target = peer.site.target;
                for &number in peer.machines {
                    let identity = identity(unit.deployment, &target.name, target.kind, number);
                    let address = public_address(peer, number)?;
                    others.insert(format!("{}-{number}", target.name), Other { identity, address });
                }
            }
        }
        let (Some(unit), Some(authority)) = (units.first(), authority) else { return Ok(None) };
        let own = unit.site.target;
        let identity = identity(unit.deployment, &own.name, own.kind, machine);
        let ipsec = Self { identity, authority: authority.to_owned(), others };
        Ok(Some(ipsec).filter(|ipsec| !ipsec.others.is_empty()))
    }

    pub(super) fn files(&self) -> Result<[WriteFile; 2], CompileError> {
        Ok([
            text_file(AUTHORITY, 0o644, self.authority.as_str())?,
            text_file("/etc/swanctl/conf.d/deployix.conf", 0o644, self.configuration())?,
        ])
    }

    pub(super) fn commands() -> [Vec<String>; 2] {
        [
            ["install", "-d", "-m", "0700", "--", "/var/lib/deployix/pki"]
                .map(str::to_owned)
                .into(),
            ["ln", "-sfT", "--", KEY, OWN_KEY].map(str::to_owned).into(),
        ]
    }

    /// The configuration (swanctl.conf(5)). Everything put into it is a name or an address, none of
    /// which needs escaping there.
    ///
    /// `trap` holds the first packet until there is a key, rather than letting it go in clear.
    fn configuration(&self) -> Text {
        let mut text = Text::from("connections {\n");
        for (name, other) in &self.others {
            text.push(&format!("  {name} {{\n    version = 2\n    mobike = no\n"));
            text.push("    remote_addrs = ");
            text.append(&Text::from(vec![other.address.clone()]));
            text.push(&format!(
                "\n    proposals = aes256gcm16-prfsha384-ecp384\n    keyingtries = 0\n    \
                 dpd_delay = 30s\n    local {{\n      auth = pubkey\n      certs = {CERTIFICATE}\n      \
                 id = {}\n    }}\n    remote {{\n      auth = pubkey\n      cacerts = deployix.pem\n      \
                 id = {}\n    }}\n    children {{\n      all {{\n        mode = transport\n        \
                 esp_proposals = aes256gcm16-ecp384\n        start_action = trap\n        \
                 close_action = trap\n        dpd_action = trap\n      }}\n    }}\n  }}\n",
                self.identity, other.identity
            ));
        }
        text.push("}\n");
        text
    }
}
