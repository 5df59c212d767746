//! [`Ground`]: the targets while they fill up.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    mem,
    num::NonZeroU32,
};

use super::{
    super::{
        policy::{Demand, Misfit, Room},
        resolve::{Node, Ties, infrastructure::missing},
    },
    Assignment,
};
use crate::{
    backend::{Capabilities, Registry},
    diagnostic::{Cause, Diagnostic},
    name::{BackendId, Name},
    spec::{Capacity, DefaultBackend, Infrastructure, Network, Target, TargetKind},
};

/// The targets while they fill up.
pub(super) struct Ground<'r> {
    registry: &'r Registry,
    plots: Vec<Plot>,
    by_name: BTreeMap<Name, usize>,
    /// Machines that take new work, least used first: for each location, and for none.
    queues: BTreeMap<Option<Name>, BTreeSet<(u32, usize, u32)>>,
    default: Option<DefaultBackend>,
    default_unusable: bool,
    networks: BTreeMap<Name, Network>,
    locations: Vec<Name>,
    /// Those of which no more than the name could be read.
    unreadable_locations: BTreeSet<Name>,
    unusable: BTreeMap<Name, Option<Name>>,
    /// Whether there may be more targets than could be read.
    incomplete: bool,
}

/// One target while it fills up.
struct Plot {
    target: Target,
    location: Option<Name>,
    capabilities: Capabilities,
    rooms: Vec<Room>,
    /// Whether machines are added as needed.
    grows: bool,
    /// Whether work that wishes no location goes here.
    general: bool,
}

/// Machines of one target that have room.
pub(super) struct Pick {
    pub(super) machines: Vec<u32>,
    /// How many replicas run there.
    pub(super) replicas: u32,
}

impl<'r> Ground<'r> {
    /// Takes the targets and networks over from the infrastructure, until [`finish`](Self::finish).
    pub(super) fn new(ties: &mut Ties, registry: &'r Registry) -> Self {
        let infrastructure = &mut ties.infrastructure;
        let targets = mem::take(&mut infrastructure.targets);
        let mut ground = Self {
            registry,
            plots: Vec::new(),
            by_name: BTreeMap::new(),
            queues: BTreeMap::new(),
            default: ties.default_backend.clone(),
            default_unusable: ties.default_unusable,
            networks: mem::take(&mut infrastructure.networks),
            locations: infrastructure.locations.keys().cloned().collect(),
            unreadable_locations: infrastructure.unreadable.locations.clone(),
            unusable: ties.unusable.clone(),
            incomplete: infrastructure.incomplete,
        };
        // Infrastructure that could not be read is not none.
        let all_read = infrastructure.unreadable.is_empty() && !infrastructure.incomplete;
        let nothing = targets.is_empty() && ground.unusable.is_empty() && all_read;
        for target in targets.into_values() {
            let of_default = ground.default.as_ref().map(|d| d.backend == target.backend);
            ground.add(target, false, of_default.unwrap_or(true));
        }
        if nothing && ground.default.is_none() {
            // The shortest way to something that runs: the Docker engine of this machine.
            if let (Ok(name), Ok(docker)) = (Name::new("local"), BackendId::new("docker")) {
                ground.add(Target::machine(name, docker), false, true);
            }
        }
        ground
    }

    /// Gives the infrastructure its targets and networks back, with those that were made.
    pub(super) fn finish(self, infrastructure: &mut Infrastructure) {
        let targets = self.plots.into_iter().map(|mut plot| {
            if plot.grows
                && let Ok(count) = u32::try_from(plot.rooms.len())
                && let Some(count) = NonZeroU32::new(count)
            {
                plot.target.kind = TargetKind::Pool { count };
            }
            (plot.target.name.clone(), plot.target)
        });
        infrastructure.targets = targets.collect();
        infrastructure.networks = self.networks;
    }

    pub(super) fn index(&self, target: &Name) -> Option<usize> {
        self.by_name.get(target).copied()
    }

    /// Whether a target's backend has load balancers of its own.
    pub(super) fn balances(&self, index: usize) -> bool {
        self.plots[index].capabilities.load_balancers
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.by_name.keys()
    }

    pub(super) fn is_unusable(&self, target: &Name) -> bool {
        self.unusable.contains_key(target)
    }

    /// Why a target that is described cannot be used.
    pub(super) fn why_unusable(&self, target: &Name) -> Option<Cause> {
        // Which pools a default backend makes is not known where that is described wrongly.
        let made = self.default_unusable && self.index(target).is_none();
        match self.is_unusable(target) {
            true => Some(Cause::Target(target.clone())),
            false => made.then_some(Cause::DefaultBackend),
        }
    }

    /// Whether there may be more targets and locations than could be read.
    pub(super) fn incomplete(&self) -> bool {
        self.incomplete
    }

    /// Whether a target is none that can be used, and is or may be described all the same.
    pub(super) fn may_be_described(&self, target: &Name) -> bool {
        let made = || self.made_for(target).is_some();
        self.why_unusable(target).is_some()
            || (self.incomplete && self.index(target).is_none() && !made())
    }

    /// What is described wrongly or could not be read, and might run what wishes a location.
    pub(super) fn missed(&self, location: Option<&Name>) -> Vec<Cause> {
        let there =
            |at: &Option<Name>| location.is_none() || at.is_none() || at.as_ref() == location;
        let targets = self.unusable.iter().filter(|(_, at)| there(at));
        let targets = targets.map(|(target, _)| Cause::Target(target.clone()));
        let default = self.default_unusable.then_some(Cause::DefaultBackend);
        let unread = self.incomplete.then_some(Cause::Infrastructure);
        targets.chain(default).chain(unread).collect()
    }

    pub(super) fn knows_location(&self, location: &Name) -> bool {
        self.locations.contains(location)
    }

    /// That a location is wished which is not there to be used.
    pub(super) fn no_location(&self, location: &Name) -> Diagnostic {
        let (known, unreadable) = (self.locations.iter(), &self.unreadable_locations);
        let (kind, cause) = ("location", Cause::Location);
        missing(kind, location, known, unreadable, cause, self.incomplete)
    }

    fn add(&mut self, target: Target, grows: bool, general: bool) -> Option<usize> {
        let capabilities = self.registry.backend(&target.backend)?.capabilities();
        let network = target.network.as_ref().and_then(|network| self.networks.get(network));
        let location = target.location.clone().or_else(|| network.and_then(|n| n.location.clone()));
        let machines = if grows { 0 } else { target.kind.machines() };
        let index = self.plots.len();
        self.by_name.insert(target.name.clone(), index);
        let rooms = vec![Room::default(); machines as usize];
        self.plots.push(Plot { target, location, capabilities, rooms, grows, general });
        for machine in 0..machines {
            self.queue(index, machine, None);
        }
        Some(index)
    }

    /// Puts a machine into its queues, at the place of its load now instead of before.
    fn queue(&mut self, index: usize, machine: u32, before: Option<u32>) {
        let plot = &self.plots[index];
        let now = plot.rooms[machine as usize].services();
        let general = plot.general.then_some(None);
        let own = plot.location.clone().map(Some);
        for key in general.into_iter().chain(own) {
            let queue = self.queues.entry(key).or_default();
            if let Some(before) = before {
                queue.remove(&(before, index, machine));
            }
            let full = plot.target.capacity.services.is_some_and(|most| now >= most.get());
            if !full {
                queue.insert((now, index, machine));
            }
        }
    }

    /// Machines of one target for a functionality; fewer than its replicas where there are not
    /// enough.
    pub(super) fn pick(
        &mut self,
        index: usize,
        node: &Node,
        demand: &Demand,
    ) -> Result<Pick, Misfit> {
        let asked = node.functionality.replicas.get();
        let plot = &self.plots[index];
        let demand = plot.of_machine(demand);
        let mut fitting = Vec::new();
        let mut misfit = None;
        for (machine, room) in (0..).zip(&plot.rooms) {
            match room.fits(&demand, &plot.target.capacity) {
                Ok(()) => fitting.push((room.services(), machine)),
                Err(error) => misfit = misfit.or(Some(error)),
            }
        }
        fitting.sort_unstable();
        let machines = fitting.into_iter().map(|(_, machine)| machine);
        let pick = self.gather(index, machines.collect(), asked, &demand)?;
        if pick.machines.is_empty() {
            return Err(misfit.unwrap_or_else(|| Misfit::Full("it has no machines".to_owned())));
        }
        Ok(pick)
    }

    /// As many machines as a functionality needs of those that fit, least used first; new ones
    /// where the target grows.
    fn gather(
        &mut self,
        index: usize,
        mut machines: Vec<u32>,
        asked: u32,
        demand: &Demand,
    ) -> Result<Pick, Misfit> {
        let plot = &mut self.plots[index];
        let wanted = if plot.spreads() { asked } else { 1 };
        machines.truncate(wanted as usize);
        while plot.grows && machines.len() < wanted as usize {
            // A new machine has room unless the demand exceeds what any machine has.
            Room::default().fits(demand, &plot.target.capacity)?;
            machines.push(u32::try_from(plot.rooms.len()).unwrap_or(u32::MAX));
            plot.rooms.push(Room::default());
        }
        machines.sort_unstable();
        let found = u32::try_from(machines.len()).unwrap_or(u32::MAX);
        let replicas = match plot.target.kind {
            _ if plot.spreads() => found,
            TargetKind::Autoscaling { max, .. } => asked.min(max.get()),
            _ => asked,
        };
        Ok(Pick { machines, replicas })
    }

    /// Takes machines for a functionality.
    pub(super) fn occupy(
        &mut self,
        index: usize,
        name: &Name,
        demand: &Demand,
        machines: &[u32],
    ) -> Assignment {
        let demand = self.plots[index].of_machine(demand).into_owned();
        for &machine in machines {
            let room = &mut self.plots[index].rooms[machine as usize];
            let before = room.services();
            room.take(name, &demand);
            self.queue(index, machine, Some(before));
        }
        Assignment::new(self.plots[index].target.name.clone(), machines)
    }

    /// Leaves a functionality where it was before, where that still fits what it wishes.
    pub(super) fn keep(
        &mut self,
        node: &Node,
        demand: &Demand,
        before: &Assignment,
    ) -> Option<Assignment> {
        if self.index(&before.target).is_none() {
            let location = self.made_for(&before.target)?;
            self.make(location)?;
        }
        let index = self.index(&before.target)?;
        let wished = node.functionality.machine.location.as_ref();
        let plot = &mut self.plots[index];
        if wished.is_some() && wished != plot.location.as_ref() {
            return None;
        }
        let most = before.machines.iter().max().map_or(0, |last| *last as usize + 1);
        let added = plot.rooms.len()..most;
        if plot.grows {
            plot.rooms.resize(plot.rooms.len().max(most), Room::default());
            for machine in added {
                self.queue(index, u32::try_from(machine).ok()?, None);
            }
        }
        let plot = &self.plots[index];
        let asked = if plot.spreads() { node.functionality.replicas.get() as usize } else { 1 };
        let possible = if plot.grows { asked } else { asked.min(plot.rooms.len()) };
        let here = plot.of_machine(demand);
        let fits = |machine: &u32| {
            let room = plot.rooms.get(*machine as usize);
            room.is_some_and(|room| room.fits(&here, &plot.target.capacity).is_ok())
        };
        let same = before.machines.len() == possible && before.machines.iter().all(fits);
        same.then(|| self.occupy(index, node.name(), demand, &before.machines))
    }

    /// The least used machines that fit, of all targets that fit the wishes: the first target that
    /// has enough, else a new machine, else the target that has the most.
    pub(super) fn most_room(
        &mut self,
        node: &Node,
        demand: &Demand,
        location: Option<&Name>,
    ) -> Result<(usize, Pick), Option<(Name, Misfit)>> {
        let asked = node.functionality.replicas.get();
        let key = location.cloned();
        let mut fitting: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let mut misfit = None;
        for &(_, index, machine) in self.queues.get(&key).into_iter().flatten() {
            let plot = &self.plots[index];
            match plot.rooms[machine as usize].fits(&plot.of_machine(demand), &plot.target.capacity)
            {
                Err(error) => misfit = misfit.or(Some((plot.target.name.clone(), error))),
                Ok(()) => {
                    let machines = fitting.entry(index).or_default();
                    machines.push(machine);
                    if !plot.spreads() || machines.len() == asked as usize {
                        let machines = mem::take(machines);
                        return self.gathered(index, machines, asked, demand);
                    }
                }
            }
        }
        if let Some(index) = self.default.is_some().then(|| self.make(key)).flatten() {
            let machines = fitting.remove(&index).unwrap_or_default();
            let grows = self.plots[index].grows;
            if grows || !machines.is_empty() {
                return self.gathered(index, machines, asked, demand);
            }
        }
        match fitting.into_iter().max_by_key(|(index, m)| (m.len(), std::cmp::Reverse(*index))) {
            Some((index, machines)) => self.gathered(index, machines, asked, demand),
            None => Err(misfit.or_else(|| self.full(location))),
        }
    }

    fn gathered(
        &mut self,
        index: usize,
        machines: Vec<u32>,
        asked: u32,
        demand: &Demand,
    ) -> Result<(usize, Pick), Option<(Name, Misfit)>> {
        let demand = self.plots[index].of_machine(demand).into_owned();
        let pick = self.gather(index, machines, asked, &demand);
        let name = |misfit| Some((self.plots[index].target.name.clone(), misfit));
        pick.map(|pick| (index, pick)).map_err(name)
    }

    /// The first of the targets that fit the wishes but for being full.
    fn full(&self, location: Option<&Name>) -> Option<(Name, Misfit)> {
        let fits = |plot: &&Plot| match location {
            Some(location) => plot.location.as_ref() == Some(location),
            None => plot.general,
        };
        let plot = self.plots.iter().find(fits)?;
        let most = plot.target.capacity.services?;
        let why = format!("its machines run {most} functionalities each, the most they take");
        Some((plot.target.name.clone(), Misfit::Full(why)))
    }

    /// The default backend's pool at a location, made where there is none yet.
    fn make(&mut self, location: Option<Name>) -> Option<usize> {
        let default = self.default.clone().filter(|_| !self.default_unusable)?;
        let location = location.or_else(|| default.location.clone()).or_else(|| {
            let [only] = self.locations.as_slice() else { return None };
            Some(only.clone())
        });
        let name = made_name(&default.backend, location.as_ref())?;
        if let Some(index) = self.index(&name) {
            return self.plots[index].grows.then_some(index);
        }
        let pools = self.registry.backend(&default.backend)?.capabilities().pools;
        let network = self.network_at(location.as_ref(), &name);
        let mut target = Target::machine(name, default.backend.clone());
        target.network = Some(network);
        target.location = location;
        target.guest = default.guest.clone();
        target.capacity =
            Capacity { services: default.services_per_instance, ..Capacity::default() };
        target.extensions = default.extensions.clone();
        self.add(target, pools, true)
    }

    /// The location of the pool that goes by this name, if the default backend has such a one.
    fn made_for(&self, name: &Name) -> Option<Option<Name>> {
        let default = self.default.as_ref()?;
        let locations = self.locations.iter().cloned().map(Some).chain([None]);
        locations
            .into_iter()
            .find(|location| made_name(&default.backend, location.as_ref()).as_ref() == Some(name))
    }

    /// The network that new machines at a location join; one of their own where there is none.
    fn network_at(&mut self, location: Option<&Name>, own: &Name) -> Name {
        let there = self.networks.iter().find(|(_, network)| network.location.as_ref() == location);
        if let Some((name, _)) = there {
            return name.clone();
        }
        let network = Network { location: location.cloned(), ..Network::default() };
        self.networks.insert(own.clone(), network);
        own.clone()
    }
}

impl Plot {
    /// Whether replicas go to different machines of it.
    fn spreads(&self) -> bool {
        let one_by_one = matches!(self.target.kind, TargetKind::Machine | TargetKind::Pool { .. });
        one_by_one && !self.capabilities.isolated
    }

    /// What a functionality takes of a machine here: no ports where it has addresses of its own.
    fn of_machine<'d>(&self, demand: &'d Demand) -> Cow<'d, Demand> {
        if self.capabilities.isolated {
            Cow::Owned(demand.isolated())
        } else {
            Cow::Borrowed(demand)
        }
    }
}

/// The name of the default backend's pool at a location.
fn made_name(backend: &BackendId, location: Option<&Name>) -> Option<Name> {
    match location {
        Some(location) => Name::new(format!("{backend}-{location}")).ok(),
        None => Name::new(backend.as_str()).ok(),
    }
}
