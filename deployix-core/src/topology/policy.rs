//! How much room a machine has, and who fits.

use std::collections::BTreeMap;

use crate::{
    name::Name,
    spec::{Capacity, Lowered, MachineWishes, Protocol},
};

/// What a functionality takes of each machine that it runs on.
#[derive(Debug, Clone, Default)]
pub(super) struct Demand {
    /// In thousandths of a processor.
    cpus: u64,
    /// In bytes.
    memory: u64,
    /// Ports on the machine's own address.
    ports: Vec<(u16, Protocol)>,
    /// Whether the ports are the machine's own even where functionalities have their own.
    published: bool,
}

impl Demand {
    /// The limits of all members, or what the functionality wishes where that is more.
    pub(super) fn of(service: &Lowered, wishes: &MachineWishes) -> Self {
        let mut demand = Self::default();
        for (_, service) in service.members() {
            demand.cpus += service.limits.cpus.map_or(0, |cpus| u64::from(cpus.0));
            let memory = service.limits.memory.map_or(0, |memory| memory.0);
            demand.memory = demand.memory.saturating_add(memory);
            demand.ports.extend(service.endpoints.values().map(|e| (e.port.get(), e.protocol)));
        }
        demand.cpus = demand.cpus.max(wishes.cpus.map_or(0, |cpus| u64::from(cpus.0)));
        demand.memory = demand.memory.max(wishes.memory.map_or(0, |memory| memory.0));
        demand
    }

    /// The same for what is reached at the machine's own address, wherever it runs.
    pub(super) fn published(self) -> Self {
        Self { published: true, ..self }
    }

    /// The same where functionalities have addresses of their own, and so ports of their own but
    /// for what is published.
    pub(super) fn isolated(&self) -> Self {
        let ports = if self.published { self.ports.clone() } else { Vec::new() };
        Self { ports, ..*self }
    }
}

/// What is taken of one machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    services: u32,
    cpus: u64,
    memory: u64,
    ports: BTreeMap<(u16, Protocol), Name>,
}

/// Why something does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Misfit {
    /// A port that somebody else has.
    Port { port: u16, protocol: Protocol, holder: Name },
    /// Too many functionalities, or too little processor or memory left.
    Full(String),
}

impl Room {
    /// How many functionalities are there.
    pub(super) fn services(&self) -> u32 {
        self.services
    }

    /// Whether a functionality fits.
    pub(super) fn fits(&self, demand: &Demand, capacity: &Capacity) -> Result<(), Misfit> {
        if let Some(most) = capacity.services
            && self.services >= most.get()
        {
            return Err(Misfit::Full(format!("it runs {most} functionalities, the most it takes")));
        }
        if let Some(cpus) = capacity.cpus
            && self.cpus + demand.cpus > u64::from(cpus.0)
        {
            let whole = |milli: u64| milli as f64 / 1000.0;
            return Err(Misfit::Full(format!(
                "{} of its {cpus} processors are taken and {} are needed",
                whole(self.cpus),
                whole(demand.cpus)
            )));
        }
        if let Some(memory) = capacity.memory
            && self.memory.saturating_add(demand.memory) > memory.0
        {
            use crate::spec::Bytes;
            return Err(Misfit::Full(format!(
                "{} of its {memory} memory are taken and {} are needed",
                Bytes(self.memory),
                Bytes(demand.memory)
            )));
        }
        for &(port, protocol) in &demand.ports {
            if let Some(holder) = self.ports.get(&(port, protocol)) {
                return Err(Misfit::Port { port, protocol, holder: holder.clone() });
            }
        }
        Ok(())
    }

    /// Takes what a functionality needs.
    pub(super) fn take(&mut self, name: &Name, demand: &Demand) {
        self.services += 1;
        self.cpus += demand.cpus;
        self.memory = self.memory.saturating_add(demand.memory);
        self.ports.extend(demand.ports.iter().map(|&port| (port, name.clone())));
    }
}
