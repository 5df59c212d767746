//! Compile: each functionality and each target by its backend.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
};

use super::shared::{Shared, Whom, is_sound, on_unsound, unsound, unsound_target};
use crate::{
    backend::{
        Artifact, Assembly, Backend, Owner, Peer, Registry, Remark, Resource, Site, Unit, Via,
    },
    diagnostic::{Cause, Code, Diagnostic, Diagnostics, Severity, Staged},
    digest::Digest,
    name::{Name, RelativePath, ResourceId},
    spec::{FileContent, Target},
    topology::{Connected, Left},
};

/// What a deployment compiles to.
///
/// Invariants: ids of resources are unique, and so are paths of files within a target; nothing in
/// it belongs to a functionality that failed. Only [`compile`] makes one.
#[derive(Debug)]
pub struct Compiled {
    connected: Connected,
    /// By functionality.
    artifacts: BTreeMap<Name, Artifact>,
    /// By target.
    assembled: BTreeMap<Name, Artifact>,
    resources: BTreeMap<ResourceId, Resource>,
    /// For which target each resource was compiled, in their order: positions among the sites.
    targets: Vec<u32>,
    failed: BTreeSet<Name>,
    failed_targets: BTreeSet<Name>,
    /// What of those that failed runs on, and how it is connected.
    left: Left,
}

impl Compiled {
    /// What was compiled.
    #[must_use]
    pub fn connected(&self) -> &Connected {
        &self.connected
    }

    /// What each functionality compiled to.
    #[must_use]
    pub fn artifacts(&self) -> &BTreeMap<Name, Artifact> {
        &self.artifacts
    }

    /// What each target compiled to.
    #[must_use]
    pub fn assembled(&self) -> &BTreeMap<Name, Artifact> {
        &self.assembled
    }

    /// Everything that is to be made real.
    #[must_use]
    pub fn resources(&self) -> &BTreeMap<ResourceId, Resource> {
        &self.resources
    }

    /// Everything that is to be made real, each with the position of its target among the sites.
    pub(super) fn located(&self) -> impl Iterator<Item = (&ResourceId, &Resource, u32)> {
        let both = self.resources.iter().zip(&self.targets);
        both.map(|((id, resource), target)| (id, resource, *target))
    }

    /// Everything that is to be made real, each with the target it was compiled for.
    pub fn sited(&self) -> impl Iterator<Item = (&Resource, Site<'_>)> {
        let sites: Vec<_> = self.connected.sites().collect();
        let site = move |(_, resource, at): (_, _, u32)| Some((resource, *sites.get(at as usize)?));
        self.located().filter_map(site)
    }

    /// The contents of files that resources name.
    #[must_use]
    pub fn contents(&self, wanted: &BTreeSet<Digest>) -> BTreeMap<Digest, Arc<[u8]>> {
        let artifacts = self.artifacts.values().chain(self.assembled.values());
        artifacts
            .flat_map(|artifact| &artifact.contents)
            .filter(|(digest, _)| wanted.contains(digest))
            .map(|(digest, content)| (*digest, Arc::clone(content)))
            .collect()
    }

    /// Functionalities that are not part of it; what runs of them is left as it is.
    #[must_use]
    pub fn failed(&self) -> &BTreeSet<Name> {
        &self.failed
    }

    /// Targets that are not part of it; they are left as they are.
    #[must_use]
    pub fn failed_targets(&self) -> &BTreeSet<Name> {
        &self.failed_targets
    }

    /// Every file, by target and path below the target's folder.
    #[must_use]
    pub fn files(&self) -> BTreeMap<(&Name, &RelativePath), &FileContent> {
        let of_units = self.connected.units().filter_map(|unit| {
            self.artifacts.get(unit.name).map(|artifact| (&unit.site.target.name, artifact))
        });
        of_units
            .chain(&self.assembled)
            .flat_map(|(target, artifact)| {
                artifact.files.iter().map(move |(path, content)| ((target, path), content))
            })
            .collect()
    }
}

/// Drives the backends: `compile` for each functionality, then `assemble` for each target.
///
/// What is equal to its counterpart in `previous` is taken from there, so the work grows with the
/// change. Functionalities are compiled on as many threads as there are processors; the result does
/// not depend on it.
pub fn compile(
    connected: Connected,
    registry: &Registry,
    previous: Option<&Compiled>,
) -> Staged<Compiled> {
    let mut found = Diagnostics::new();
    let sites: Vec<_> = connected.sites().collect();
    let unsound = unsound(sites.iter().copied(), registry);
    found.extend(unsound.iter().map(|(target, causes)| unsound_target(target, causes)));
    let mut shared = Shared::default();
    let Turned { left, outcomes, failed, blocked } =
        take_turns(&connected, &unsound, registry, previous);
    let units: Vec<Unit<'_>> =
        connected.units_beside(&left).map(|unit| possible(unit, registry)).collect();
    let mut artifacts = Vec::with_capacity(units.len());
    let mut fresh = Vec::with_capacity(units.len());
    for (unit, outcome) in units.iter().zip(outcomes) {
        found.extend(outcome.found);
        shared.extend(outcome.shared);
        artifacts.push(outcome.artifact.filter(|_| !failed.contains(unit.name)));
        fresh.push(outcome.fresh);
    }
    found.extend(blocked);
    for (at, unit) in units.iter().enumerate() {
        let left_before = previous.map(|before| left_peers(unit, &before.failed));
        fresh[at] |= left_before.is_some_and(|before| before != left_peers(unit, &failed));
    }

    let mut by_target: BTreeMap<&Name, Vec<usize>> = BTreeMap::new();
    for (at, unit) in units.iter().enumerate().filter(|(at, _)| artifacts[*at].is_some()) {
        by_target.entry(&unit.site.target.name).or_default().push(at);
    }
    let before = previous.map(Compiled::by_target).unwrap_or_default();
    let assemblies = in_parallel(&sites, |site| {
        if unsound.contains_key(&site.target.name) {
            return OneCompiled::nothing();
        }
        let here = by_target.get(&site.target.name).map_or(&[][..], Vec::as_slice);
        let before = before.get(&site.target.name).copied().unwrap_or_default();
        let units = &units;
        let (artifacts, fresh, failed, left) = (&artifacts, &fresh, &failed, &left);
        let job = Job { site: *site, here, before, units, artifacts, fresh, failed, left };
        assemble_one(&job, &connected, registry, previous)
    });
    let mut assembled = BTreeMap::new();
    let mut failed_targets = BTreeSet::new();
    for (site, outcome) in sites.iter().zip(assemblies) {
        found.extend(outcome.found);
        shared.extend(outcome.shared);
        match outcome.artifact {
            Some(artifact) => {
                assembled.insert(site.target.name.clone(), artifact);
            }
            None => {
                failed_targets.insert(site.target.name.clone());
            }
        }
    }
    found.extend(shared.findings(&connected));
    let artifacts: BTreeMap<_, _> = units
        .iter()
        .zip(artifacts)
        .filter_map(|(unit, artifact)| Some((unit.name.clone(), artifact?)))
        .collect();
    let (resources, targets) = {
        let position = |target: &Name| {
            let at = sites.binary_search_by(|site| site.target.name.cmp(target));
            at.ok().and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
        };
        let of_units = units
            .iter()
            .filter_map(|unit| Some((artifacts.get(unit.name)?, position(&unit.site.target.name))));
        let of_targets = assembled.iter().map(|(target, artifact)| (artifact, position(target)));
        merge(of_units.chain(of_targets), &failed, &mut found)
    };
    drop(by_target);
    drop(unsound);
    drop(sites);
    drop(units);
    let compiled = Compiled {
        connected,
        artifacts,
        assembled,
        resources,
        targets,
        failed,
        failed_targets,
        left,
    };
    Staged::new(compiled, found)
}

/// All functionalities, compiled.
struct Turned {
    left: Left,
    outcomes: Vec<OneCompiled>,
    failed: BTreeSet<Name>,
    /// What is told of those that depend on what failed.
    blocked: Diagnostics,
}

/// Compiles every functionality; those once more which one that failed only now goes on reaching.
fn take_turns(
    connected: &Connected,
    unsound: &BTreeMap<&Name, Vec<Cause>>,
    registry: &Registry,
    previous: Option<&Compiled>,
) -> Turned {
    let mut failed = connected.failed().clone();
    let mut left = connected.left(&failed);
    let mut blocked = Diagnostics::new();
    let mut outcomes: Vec<Option<OneCompiled>> = Vec::new();
    loop {
        let units: Vec<Unit<'_>> =
            connected.units_beside(&left).map(|unit| possible(unit, registry)).collect();
        outcomes.resize_with(units.len(), || None);
        let due: Vec<usize> = (0..units.len()).filter(|at| outcomes[*at].is_none()).collect();
        let compiled = in_parallel(&due, |&at| {
            let unit = &units[at];
            if unsound.contains_key(&unit.site.target.name) {
                let found = vec![on_unsound(unit)];
                return OneCompiled { found, ..OneCompiled::nothing() };
            }
            if !is_sound(unit, registry) {
                return OneCompiled::nothing();
            }
            compile_one(unit, connected, registry, previous)
        });
        for (&at, outcome) in due.iter().zip(compiled) {
            if outcome.artifact.is_none() {
                failed.insert(units[at].name.clone());
            }
            outcomes[at] = Some(outcome);
        }
        block_dependents(connected, &mut failed, &mut blocked);
        let now = connected.left(&failed);
        let mut again = false;
        for (at, unit) in units.iter().enumerate() {
            if !failed.contains(unit.name) && now.differs_for(&left, unit.name) {
                outcomes[at] = None;
                again = true;
            }
        }
        if !again {
            // Equal but for what is on targets and reaches nobody else.
            drop(units);
            let outcomes = outcomes.into_iter().flatten().collect();
            return Turned { left: now, outcomes, failed, blocked };
        }
        drop(units);
        left = now;
    }
}

/// What compiling one thing gave.
struct OneCompiled {
    artifact: Option<Artifact>,
    found: Vec<Diagnostic>,
    /// What others may be told as well.
    shared: Shared,
    /// Whether it differs from what was compiled before.
    fresh: bool,
}

impl OneCompiled {
    /// Nothing, of which there is nothing new to tell.
    fn nothing() -> Self {
        Self { artifact: None, found: Vec::new(), shared: Shared::default(), fresh: true }
    }

    /// Tells remarks.
    fn tell(
        &mut self,
        severity: Severity,
        remarks: &[Remark],
        whom: Whom<'_>,
        told: impl Fn(&Remark) -> Diagnostic,
    ) {
        self.found.extend(self.shared.take(severity, remarks, whom).map(told));
    }
}

fn compile_one(
    unit: &Unit<'_>,
    connected: &Connected,
    registry: &Registry,
    previous: Option<&Compiled>,
) -> OneCompiled {
    let mut one = OneCompiled::nothing();
    let whom = Whom::Functionality(unit.name);
    let noted = |remark: &Remark| remarked(unit, remark, connected);
    if let Some(before) = previous
        && let Some(artifact) = before.artifacts.get(unit.name)
        && let Some(unit_before) = before.connected.unit_beside(unit.name, &before.left)
        && possible(unit_before, registry) == *unit
    {
        one.tell(Severity::Warning, &artifact.remarks, whom, noted);
        return OneCompiled { artifact: Some(artifact.clone()), fresh: false, ..one };
    }
    let Some(backend) = registry.backend(&unit.site.target.backend) else { return one };
    check_possible(unit, backend, connected, registry, &mut one.found);
    if !one.found.is_empty() {
        return one;
    }
    match backend.compile(unit) {
        Ok(artifact) => {
            one.tell(Severity::Warning, &artifact.remarks, whom, noted);
            one.artifact = Some(artifact);
        }
        Err(error) => one.tell(Severity::Error, &error.reasons, whom, |reason| {
            let message = format!("`{}` on {}: {}", unit.name, backend.id(), reason.message);
            let diagnostic = Diagnostic::error(Code::NotCompiled, message)
                .about(unit.name)
                .at(connected.place(unit.name, &reason.keys));
            with_remedy(diagnostic, reason)
        }),
    }
    one
}

fn remarked(unit: &Unit<'_>, remark: &Remark, connected: &Connected) -> Diagnostic {
    let backend = &unit.site.target.backend;
    let message = format!("`{}` on {backend}: {}", unit.name, remark.message);
    let diagnostic = Diagnostic::warning(Code::Noted, message)
        .about(unit.name)
        .at(connected.place(unit.name, &remark.keys));
    with_remedy(diagnostic, remark)
}

fn with_remedy(diagnostic: Diagnostic, remark: &Remark) -> Diagnostic {
    match &remark.remedy {
        Some(remedy) => diagnostic.remedy(remedy),
        None => diagnostic,
    }
}

/// The unit without consumers that cannot reach it at all, for which nothing must be opened.
fn possible<'a>(mut unit: Unit<'a>, registry: &Registry) -> Unit<'a> {
    let ipsec = |target: &Target| {
        registry.backend(&target.backend).is_some_and(|backend| backend.capabilities().ipsec)
    };
    let here = ipsec(unit.site.target);
    unit.consumers.retain(|peer| peer.via != Via::Ipsec || (here && ipsec(peer.site.target)));
    unit
}

/// Refuses what the backend cannot do, so that no backend has to.
fn check_possible(
    unit: &Unit<'_>,
    backend: &dyn Backend,
    connected: &Connected,
    registry: &Registry,
    found: &mut Vec<Diagnostic>,
) {
    let capabilities = backend.capabilities();
    let place = |keys: &[String]| connected.place(unit.name, keys);
    let upstreams = || place(&["upstream-hosts".to_owned()]);
    for (member, service) in unit.service.members() {
        for (field, template) in service.templates() {
            let Some(key) = template.lookups().next().filter(|_| !capabilities.lookups) else {
                continue;
            };
            let mut keys = match member {
                Some(member) => vec!["group".to_owned(), member.to_string()],
                None => vec!["service".to_owned()],
            };
            keys.extend(field.keys());
            let message =
                format!("`{}`: {} cannot look up `{key}` at run time", unit.name, backend.id());
            found.push(
                Diagnostic::error(Code::NotCompiled, message)
                    .about(unit.name)
                    .at(place(&keys))
                    .remedy("give the value itself, or a secret"),
            );
        }
    }
    for peer in &unit.upstreams {
        if matches!(peer.via, Via::Loopback | Via::External) {
            continue;
        }
        for target in [unit.site.target, peer.site.target] {
            let Some(other) = registry.backend(&target.backend) else { continue };
            if let Some(diagnostic) = unreachable(unit, peer, target, other) {
                found.push(diagnostic.about(unit.name).at(upstreams()));
            }
        }
        if peer.via == Via::Ipsec
            && connected.certificate_authority().is_none_or(|ca| ca.certificate.is_none())
        {
            found.push(
                Diagnostic::error(
                    Code::AuthorityMissing,
                    format!(
                        "`{}` reaches `{}` over IPsec, and there is no certificate authority for \
                         the machines to trust",
                        unit.name, peer.name
                    ),
                )
                .about(unit.name)
                .at(upstreams())
                .remedy("name one in the deployment: `ca = { certificate = .., key = .. }`"),
            );
        }
    }
}

/// Why one end of a connection between machines cannot be reached.
fn unreachable(
    unit: &Unit<'_>,
    peer: &Peer<'_>,
    target: &Target,
    backend: &dyn Backend,
) -> Option<Diagnostic> {
    let capabilities = backend.capabilities();
    let edge = || format!("`{}` reaches `{}`", unit.name, peer.name);
    if peer.via == Via::Ipsec && !capabilities.ipsec {
        let message = format!(
            "{} over IPsec, since their targets share no network, and backend `{}` of `{}` \
             has no IPsec",
            edge(),
            backend.id(),
            target.name
        );
        return Some(Diagnostic::error(Code::NotCompiled, message).remedy(
            "put both targets into one `network`, both functionalities on one target, or one of \
             them on a backend that has IPsec",
        ));
    }
    let (known, key) = match peer.via {
        Via::Ipsec => (target.address.is_some(), "address"),
        _ => {
            let machines =
                if target.name == unit.site.target.name { unit.machines } else { peer.machines };
            let known = |machine: &u32| target.private_address(*machine).is_some();
            (machines.iter().all(known), "private-address")
        }
    };
    if known || capabilities.makes_machines {
        return None;
    }
    let message =
        format!("{} over the network, and the address of `{}` is not known", edge(), target.name);
    let remedy = match target.kind.machines() {
        1 => format!("give target `{}` its `{key}`", target.name),
        _ => format!("give target `{}` its `{key}es`, one for each machine", target.name),
    };
    Some(Diagnostic::error(Code::AddressMissing, message).remedy(remedy))
}

/// Leaves out all that depends on what failed.
fn block_dependents(connected: &Connected, failed: &mut BTreeSet<Name>, found: &mut Diagnostics) {
    let mut open: Vec<Name> = failed.iter().cloned().collect();
    while let Some(provider) = open.pop() {
        for consumer in connected.graph().consumers_of(&provider) {
            if !failed.insert(consumer.clone()) {
                continue;
            }
            found.push(
                Diagnostic::error(
                    Code::Blocked,
                    format!("`{consumer}` needs `{provider}`, which cannot be deployed"),
                )
                .about(consumer)
                .because([Cause::Functionality(provider.clone())])
                .at(connected.place(consumer, &["upstream-hosts".to_owned()]))
                .remedy(format!("mend `{provider}`")),
            );
            open.push(consumer.clone());
        }
    }
}

/// The ends of a unit's edges that are left as they are.
fn left_peers<'a>(unit: &Unit<'a>, failed: &BTreeSet<Name>) -> Vec<&'a Name> {
    let peers = unit.upstreams.iter().chain(&unit.consumers).map(|peer| peer.name);
    peers.filter(|name| failed.contains(*name)).collect()
}

/// Whether a resource stands on account of an edge one of whose ends is left as it is: then so is
/// the resource.
fn is_left(resource: &Resource, failed: &BTreeSet<Name>) -> bool {
    match resource.owner() {
        Owner::Edge { consumer, provider } => {
            failed.contains(consumer) || failed.contains(provider)
        }
        _ => false,
    }
}

/// What a functionality compiled to, without what is left as it is.
fn without_left<'a>(artifact: &'a Artifact, failed: &BTreeSet<Name>) -> Cow<'a, Artifact> {
    if !artifact.resources.iter().any(|resource| is_left(resource, failed)) {
        return Cow::Borrowed(artifact);
    }
    let mut whole = artifact.clone();
    whole.resources.retain(|resource| !is_left(resource, failed));
    Cow::Owned(whole)
}

/// One target and what was compiled for it.
struct Job<'a> {
    site: Site<'a>,
    here: &'a [usize],
    /// How many functionalities were compiled for it before.
    before: usize,
    units: &'a [Unit<'a>],
    artifacts: &'a [Option<Artifact>],
    fresh: &'a [bool],
    failed: &'a BTreeSet<Name>,
    left: &'a Left,
}

fn assemble_one(
    job: &Job<'_>,
    connected: &Connected,
    registry: &Registry,
    previous: Option<&Compiled>,
) -> OneCompiled {
    let target = job.site.target;
    let left = connected.left_on(&target.name, job.left);
    if let Some(before) = previous
        && let Some(artifact) = before.assembled.get(&target.name)
        && before.connected.site(&target.name) == Some(job.site)
        && before.connected.certificate_authority() == connected.certificate_authority()
        && job.here.iter().all(|&at| !job.fresh[at])
        && job.here.len() == job.before
        && before.connected.left_on(&target.name, &before.left) == left
    {
        let artifact = Some(artifact.clone());
        return OneCompiled { artifact, fresh: false, ..OneCompiled::nothing() };
    }
    let mut one = OneCompiled::nothing();
    let Some(backend) = registry.backend(&target.backend) else { return one };
    let units: Vec<_> = job.here.iter().map(|&at| job.units[at].clone()).collect();
    let here = job.here.iter().filter_map(|&at| job.artifacts[at].as_ref());
    let whole: Vec<_> = here.map(|artifact| without_left(artifact, job.failed)).collect();
    let artifacts: Vec<&Artifact> = whole.iter().map(|artifact| &**artifact).collect();
    let assembly = Assembly {
        deployment: connected.deployment(),
        site: job.site,
        units: &units,
        artifacts: &artifacts,
        left: &left,
        guest: target.guest.as_ref().and_then(|guest| registry.guest(guest)),
        certificate_authority: connected.certificate_authority(),
    };
    let whom = Whom::Target(&target.name);
    let told = |new: fn(Code, String) -> Diagnostic, code: Code, remark: &Remark| {
        let message = format!("target `{}`: {}", target.name, remark.message);
        let place = connected.place_of_target(&target.name, &remark.keys);
        with_remedy(new(code, message).at(place), remark)
    };
    match backend.assemble(&assembly) {
        Ok(artifact) => {
            one.tell(Severity::Warning, &artifact.remarks, whom, |remark| {
                told(Diagnostic::warning, Code::Noted, remark)
            });
            one.artifact = Some(artifact);
        }
        Err(error) => one.tell(Severity::Error, &error.reasons, whom, |reason| {
            told(Diagnostic::error, Code::NotCompiled, reason)
        }),
    }
    one
}

impl Compiled {
    /// How many functionalities were compiled for each target.
    fn by_target(&self) -> BTreeMap<&Name, usize> {
        let mut counts = BTreeMap::new();
        for (name, target) in self.connected.located() {
            *counts.entry(target).or_default() += usize::from(self.artifacts.contains_key(name));
        }
        counts
    }
}

/// All resources in one map, and in its order the positions of their targets; equal ones are one,
/// and different ones of one id are told.
fn merge<'a>(
    artifacts: impl Iterator<Item = (&'a Artifact, u32)>,
    failed: &BTreeSet<Name>,
    found: &mut Diagnostics,
) -> (BTreeMap<ResourceId, Resource>, Vec<u32>) {
    let mut all: Vec<(&Resource, u32)> = artifacts
        .flat_map(|(artifact, target)| artifact.resources.iter().map(move |r| (r, target)))
        .filter(|(resource, _)| !is_left(resource, failed))
        .collect();
    // Stable, so the first one of an id stays the first.
    all.sort_by(|(left, _), (right, _)| left.id().cmp(right.id()));
    all.dedup_by(|(resource, _), (first, _)| {
        let same = resource.id() == first.id();
        if same && resource.digest() != first.digest() {
            found.push(
                Diagnostic::error(
                    Code::ResourceConflict,
                    format!(
                        "{} is compiled differently for {} and for {}",
                        first.id(),
                        first.owner(),
                        resource.owner()
                    ),
                )
                .remedy("this is a fault of the backend; tell its authors"),
            );
        }
        same
    });
    let targets = all.iter().map(|(_, target)| *target).collect();
    let resources = all.into_iter().map(|(r, _)| (r.id().clone(), r.clone())).collect();
    (resources, targets)
}

/// Does independent work on several threads; results come in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    /// Below this many items a thread costs more than it saves.
    const WORTH_A_THREAD: usize = 64;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(WORTH_A_THREAD);
    if items.len() <= share {
        return items.iter().map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let handles: Vec<_> = items
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(work).collect::<Vec<_>>()))
            .collect();
        handles
            .into_iter()
            .flat_map(|handle| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
