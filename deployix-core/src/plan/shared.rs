//! What several share, told once: a location, a network or a target that is described wrongly stops all
//! that is compiled for it, for one reason.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    backend::{Registry, Remark, Site, Unit},
    diagnostic::{Code, Diagnostic, Severity, named},
    name::Name,
    spec::{ExtensionSite, Extensions},
    topology::Connected,
};

/// What was told about what several share, and for whom each time.
#[derive(Debug, Default)]
pub(super) struct Shared(BTreeMap<(Severity, Remark), Concerned>);

/// Whom something stops.
#[derive(Debug, Default)]
struct Concerned {
    functionalities: BTreeSet<Name>,
    targets: BTreeSet<Name>,
}

/// Who is told something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whom<'a> {
    Functionality(&'a Name),
    Target(&'a Name),
}

impl Shared {
    /// Takes in those remarks that are about what several share; gives the others back.
    pub(super) fn take<'r>(
        &mut self,
        severity: Severity,
        remarks: &'r [Remark],
        whom: Whom<'_>,
    ) -> impl Iterator<Item = &'r Remark> + use<'r> {
        for remark in remarks.iter().filter(|remark| remark.about.is_some()) {
            let concerned = self.0.entry((severity, remark.clone())).or_default();
            match whom {
                Whom::Functionality(name) => concerned.functionalities.insert(name.clone()),
                Whom::Target(name) => concerned.targets.insert(name.clone()),
            };
        }
        remarks.iter().filter(|remark| remark.about.is_none())
    }

    /// Takes in what somebody else took in.
    pub(super) fn extend(&mut self, other: Self) {
        for (what, Concerned { functionalities, targets }) in other.0 {
            let concerned = self.0.entry(what).or_default();
            concerned.functionalities.extend(functionalities);
            concerned.targets.extend(targets);
        }
    }

    /// One finding for each, in its place.
    pub(super) fn findings(self, connected: &Connected) -> impl Iterator<Item = Diagnostic> {
        self.0.into_iter().filter_map(|((severity, remark), concerned)| {
            let subject = remark.about.as_ref()?;
            let place = connected.place_of(subject, &remark.keys);
            let told = format!("{subject}: {}", remark.message);
            let finding = match severity {
                Severity::Error => {
                    let message = format!("{told}; {} cannot be compiled", concerned.named());
                    Diagnostic::error(Code::NotCompiled, message)
                }
                Severity::Warning => Diagnostic::warning(Code::Noted, told),
            };
            Some(match &remark.remedy {
                Some(remedy) => finding.at(place).remedy(remedy),
                None => finding.at(place),
            })
        })
    }
}

impl Concerned {
    /// `` `web`, `db` and 3 more on `one` ``.
    fn named(&self) -> String {
        let functionalities = named(&self.functionalities);
        let targets = named(&self.targets);
        match (self.functionalities.is_empty(), self.targets.is_empty()) {
            (false, false) => format!("{functionalities} on {targets}"),
            (true, false) => format!("what is on {targets}"),
            (_, true) => functionalities,
        }
    }
}

/// Targets whose settings, and those of their networks and locations, are of the types that their owners
/// declared. Those of all others were told when they were resolved, and nothing more is to be said.
pub(super) fn sound<'a>(
    sites: impl IntoIterator<Item = Site<'a>>,
    registry: &Registry,
) -> BTreeSet<&'a Name> {
    let is_sound = |site: &Site<'_>| {
        let network = site.network.is_none_or(|(_, network)| {
            are_valid(&network.extensions, ExtensionSite::Network, registry)
        });
        let location = site.location.is_none_or(|(_, location)| {
            are_valid(&location.extensions, ExtensionSite::Location, registry)
        });
        network && location && are_valid(&site.target.extensions, ExtensionSite::Target, registry)
    };
    sites.into_iter().filter(is_sound).map(|site| &site.target.name).collect()
}

/// The same of a load balancer's own settings, which are no functionality's.
pub(super) fn is_sound(unit: &Unit<'_>, registry: &Registry) -> bool {
    let site = ExtensionSite::LoadBalancer;
    unit.balancer.is_none_or(|balancer| are_valid(&balancer.extensions, site, registry))
}

fn are_valid(extensions: &Extensions, site: ExtensionSite, registry: &Registry) -> bool {
    extensions.iter().all(|(namespace, payload)| {
        let declared = registry.extension(namespace.as_str(), site);
        declared.is_none_or(|declared| declared.check(payload).is_ok())
    })
}
