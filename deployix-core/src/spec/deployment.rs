//! [`Deployment`]: catalogs and infrastructure, tied together in one central place.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
};

use serde::Serialize;

use super::{Extensions, Functionality, Infrastructure};
use crate::{
    name::{BackendId, Fqdn, Name},
    source::Source,
};

/// What one source exports: the functionalities of one repository.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Catalog {
    /// The functionalities.
    pub functionalities: Vec<Arc<dyn Functionality>>,
    /// The file they came from.
    pub source: Option<Arc<Source>>,
    /// Functionalities that the file names and that could not be read from it.
    pub unreadable: BTreeSet<Name>,
    /// Whether the file may name functionalities that are neither here nor in `unreadable`.
    pub incomplete: bool,
}

impl FromIterator<Arc<dyn Functionality>> for Catalog {
    fn from_iter<T: IntoIterator<Item = Arc<dyn Functionality>>>(iter: T) -> Self {
        Self { functionalities: iter.into_iter().collect(), ..Self::default() }
    }
}

/// Catalogs, infrastructure and all that ties them together.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Deployment {
    /// Its name.
    pub name: Name,
    /// What runs.
    pub catalogs: Vec<Catalog>,
    /// Where it can run.
    pub infrastructure: Infrastructure,
    /// Who signs the certificates of machines that talk over IPsec.
    pub certificate_authority: Option<CertificateAuthority>,
    /// Upstream hosts that are nobody's functionality.
    pub external_hosts: BTreeSet<Fqdn>,
    /// The folder of the secrets.
    pub secrets: Option<PathBuf>,
    /// Where the history is: `file:FOLDER` or the URL of an object store.
    pub history: Option<String>,
    /// Explicit placement, from functionality to target; overrides wishes.
    pub place: BTreeMap<Name, Name>,
    /// Makes targets for what has none.
    pub default_backend: Option<DefaultBackend>,
    /// Sets of functionalities that succeed or are put back together; none is in two of them.
    pub atomic: Vec<BTreeSet<Name>>,
    /// The file it came from.
    pub source: Option<Arc<Source>>,
    /// Whether a catalog could not be read at all, so that what it exports is not known.
    pub incomplete: bool,
}

/// Who signs the certificates of machines that talk over IPsec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CertificateAuthority {
    /// The certificate as PEM text; `None` where its file cannot be read.
    pub certificate: Option<String>,
    /// The private key's file; it is never read while compiling.
    pub key: PathBuf,
}

/// Makes targets for what has none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct DefaultBackend {
    /// The backend.
    pub backend: BackendId,
    /// How many functionalities one made machine takes at most.
    pub services_per_instance: Option<NonZeroU32>,
    /// Where the machines stand, for functionalities that wish no location.
    pub location: Option<Name>,
    /// The backend that compiles what runs inside.
    pub guest: Option<BackendId>,
    /// What the backend owns, given to each made target.
    pub extensions: Extensions,
}

impl DefaultBackend {
    /// A default backend without wishes.
    #[must_use]
    pub fn new(backend: BackendId) -> Self {
        Self {
            backend,
            services_per_instance: None,
            location: None,
            guest: None,
            extensions: Extensions::default(),
        }
    }
}

impl Deployment {
    /// A deployment of these catalogs; without infrastructure, everything runs on one target,
    /// `local`, the Docker engine of this machine.
    #[must_use]
    pub fn new(name: Name, catalogs: Vec<Catalog>) -> Self {
        Self {
            name,
            catalogs,
            infrastructure: Infrastructure::default(),
            certificate_authority: None,
            external_hosts: BTreeSet::new(),
            secrets: None,
            history: None,
            place: BTreeMap::new(),
            default_backend: None,
            atomic: Vec::new(),
            source: None,
            incomplete: false,
        }
    }
}
