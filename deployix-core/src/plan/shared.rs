//! What several share, told once: a location, a network or a target that is described wrongly stops all
//! that is compiled for it, for one reason.

use std::collections::BTreeMap;

use crate::{
    backend::{Registry, Remark, Site, Unit},
    diagnostic::{Cause, Code, Diagnostic, Severity, Stopped},
    name::Name,
    spec::{ExtensionSite, Extensions},
    topology::Connected,
};

/// What was told about what several share, and for whom each time.
#[derive(Debug, Default)]
pub(super) struct Shared(BTreeMap<(Severity, Remark), Stopped>);

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
        for (what, Stopped { functionalities, targets }) in other.0 {
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
                    let mut finding =
                        Diagnostic::error(Code::NotCompiled, told).of(Cause::from(subject));
                    finding.stops = concerned;
                    finding
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

/// Targets that are in networks and locations whose settings are not of the types that their owners
/// declared, which were told when they were resolved; each with these.
pub(super) fn unsound<'a>(
    sites: impl IntoIterator<Item = Site<'a>>,
    registry: &Registry,
) -> BTreeMap<&'a Name, Vec<Cause>> {
    let causes = |site: &Site<'_>| {
        let network = site.network.filter(|(_, network)| {
            !are_valid(&network.extensions, ExtensionSite::Network, registry)
        });
        let location = site.location.filter(|(_, location)| {
            !are_valid(&location.extensions, ExtensionSite::Location, registry)
        });
        let network = network.map(|(name, _)| Cause::Network(name.clone()));
        network.into_iter().chain(location.map(|(name, _)| Cause::Location(name.clone()))).collect()
    };
    let unsound = sites.into_iter().map(|site| (&site.target.name, causes(&site)));
    unsound.filter(|(_, causes): &(_, Vec<_>)| !causes.is_empty()).collect()
}

/// That a target cannot be used because of what it is in.
pub(super) fn unsound_target(target: &Name, causes: &[Cause]) -> Diagnostic {
    let message = format!("what target `{target}` is in is described wrongly");
    let blocked = Diagnostic::error(Code::Blocked, message).of(Cause::Target(target.clone()));
    blocked.because(causes.iter().cloned()).remedy("mend its network and location")
}

/// That a functionality is on such a target.
pub(super) fn on_unsound(unit: &Unit<'_>) -> Diagnostic {
    let target = &unit.site.target.name;
    let message = format!("`{}` runs on `{target}`, which cannot be used", unit.name);
    let blocked = Diagnostic::error(Code::Blocked, message).about(unit.name);
    blocked.because([Cause::Target(target.clone())]).remedy(format!("mend target `{target}`"))
}

/// Whether a load balancer's own settings, which are no functionality's, are of their declared types.
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
