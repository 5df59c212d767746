//! [`Listeners`]: where a load balancer listens, and where it passes connections to.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};

use serde::{Serialize, Serializer};

/// One port that a load balancer listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listener {
    /// The port it listens on.
    pub source_port: NonZeroU16,
    /// The port it passes connections to.
    pub target_port: NonZeroU16,
}

impl Listener {
    /// From a port to a port.
    #[must_use]
    pub fn new(source_port: NonZeroU16, target_port: NonZeroU16) -> Self {
        Self { source_port, target_port }
    }
}

/// All ports that a load balancer listens on, in order.
///
/// Invariant: there is at least one, and no two are of one source port.
///
/// ```
/// use std::num::NonZeroU16;
///
/// use deployix_core::spec::{Listener, Listeners};
///
/// let port = |port| NonZeroU16::new(port).unwrap();
/// let mut listeners = Listeners::from(Listener::new(port(443), port(3000)));
/// assert!(listeners.add(Listener::new(port(80), port(3000))));
/// assert!(!listeners.add(Listener::new(port(80), port(3001))), "it listens there already");
/// assert_eq!(listeners.target_ports(), [port(3000)].into());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners(BTreeMap<NonZeroU16, NonZeroU16>);

impl Listeners {
    /// Several, of which there is at least one; `None` where there is none, or where two are of one
    /// source port.
    #[must_use]
    pub fn new(all: impl IntoIterator<Item = Listener>) -> Option<Self> {
        let mut all = all.into_iter();
        let mut listeners = Self::from(all.next()?);
        all.all(|listener| listeners.add(listener)).then_some(listeners)
    }

    /// Adds one; tells whether its source port was free, without which nothing is changed.
    pub fn add(&mut self, listener: Listener) -> bool {
        let free = !self.0.contains_key(&listener.source_port);
        self.0.entry(listener.source_port).or_insert(listener.target_port);
        free
    }

    /// All of them, by their source ports.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Listener> {
        self.0.iter().map(|(&source_port, &target_port)| Listener { source_port, target_port })
    }

    /// Every port that connections are passed to.
    #[must_use]
    pub fn target_ports(&self) -> BTreeSet<NonZeroU16> {
        self.0.values().copied().collect()
    }

    /// Whether it listens on a port.
    #[must_use]
    pub fn listens_on(&self, port: NonZeroU16) -> bool {
        self.0.contains_key(&port)
    }
}

impl From<Listener> for Listeners {
    fn from(listener: Listener) -> Self {
        Self([(listener.source_port, listener.target_port)].into())
    }
}

impl Serialize for Listeners {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}
