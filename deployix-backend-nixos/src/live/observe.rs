//! What a target's machines run.

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::{
    ResourceId,
    backend::{BackendError, Observed, Scope},
};

use super::{Connections, command::script, host::Host, record::Record, step};

const OBSERVE: &str = include_str!("observe.sh");

/// What one machine runs of a deployment.
struct Machine {
    records: Vec<Record>,
    /// What is other than it was made, in general and by unit.
    system: Option<String>,
    units: BTreeMap<String, String>,
    /// The same by what a profile was built to.
    profiles: BTreeMap<String, String>,
}

pub(super) async fn observe(
    connections: &Connections,
    scope: &Scope<'_>,
) -> Result<Vec<Observed>, BackendError> {
    let target = scope.site.target;
    let mut found: BTreeMap<ResourceId, Vec<Observed>> = BTreeMap::new();
    for index in 0..target.kind.machines() {
        let host = connections.host(target, index)?;
        let name = step::name_of(&target.name, target.kind, index);
        let machine = look(&host, scope.deployment.as_str(), &name).await?;
        for record in &machine.records {
            let mut observed = Observed::new(record.id.clone(), Some(record.digest));
            observed.owner = Some(record.owner.clone());
            observed.kept_by.clone_from(&record.history);
            let down = record.units.iter().filter_map(|unit| machine.units.get(unit));
            observed.drift.extend(down.cloned());
            let built = record.built.as_ref();
            observed.drift.extend(built.and_then(|built| machine.profiles.get(built)).cloned());
            if record.units.is_empty() {
                observed.drift.extend(machine.system.clone());
            }
            found.entry(record.id.clone()).or_default().push(observed);
        }
    }
    Ok(found.into_values().filter_map(merged).collect())
}

/// One resource on several machines.
fn merged(all: Vec<Observed>) -> Option<Observed> {
    let digests: BTreeSet<_> = all.iter().map(|observed| observed.digest).collect();
    let kept_by = all.iter().find_map(|observed| observed.kept_by.clone());
    let mut all = all.into_iter();
    let mut merged = all.next()?;
    merged.kept_by = kept_by;
    merged.drift.extend(all.flat_map(|observed| observed.drift));
    merged.drift.sort();
    merged.drift.dedup();
    if digests.len() > 1 {
        merged.digest = None;
        merged.drift.push("its machines run different versions of it".to_owned());
    }
    Some(merged)
}

async fn look(host: &Host, deployment: &str, name: &str) -> Result<Machine, BackendError> {
    let run = |command| host.run("observe", command, &|_| {});
    let told = run(script(OBSERVE, "observe", &[deployment, name])).await?;
    let told = String::from_utf8_lossy(&told);
    let mut lines = told.lines();
    let running = lines.next().unwrap_or_default();
    let made = lines.next();
    let (generations, lines): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.starts_with("generation "));
    let records = Record::read(lines.into_iter(), host.transport.host())?;
    // Each profile's line came before its record.
    let profiles = records.iter().filter_map(|record| record.built.as_deref());
    let changed = profiles.zip(generations).filter_map(|(built, generation)| {
        Some((built.to_owned(), other_generation(built, generation)?))
    });
    let changed = changed.collect();
    let system = made
        .filter(|made| !made.is_empty() && *made != running)
        .map(|_| format!("another system was activated by hand: {running}"));
    let units: Vec<&str> =
        records.iter().flat_map(|record| &record.units).map(String::as_str).collect();
    let mut down = BTreeMap::new();
    if !units.is_empty() {
        let states = ["show", "--property=Id,ActiveState,SubState,Result", "--"];
        let states = deployix_transport::Command::new("systemctl").args(states).args(units.clone());
        let states = run(states).await?;
        let states = String::from_utf8_lossy(&states);
        for (unit, state) in units.iter().zip(states.split("\n\n")) {
            let value = |key: &str| {
                state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            };
            let active = value("ActiveState").unwrap_or("unknown");
            let again = value("SubState") == Some("auto-restart");
            if again || !["active", "activating", "reloading"].contains(&active) {
                let on = host.transport.host();
                let result = value("Result").filter(|result| *result != "success");
                let what = match again {
                    true => "ends again and again".to_owned(),
                    false => format!("is {active}"),
                };
                let why = result.map(|result| format!(" ({result})")).unwrap_or_default();
                down.insert((*unit).to_owned(), format!("{unit} {what} on {on}{why}"));
            }
        }
    }
    Ok(Machine { records, system, units: down, profiles: changed })
}

/// What is other about a profile: `generation LINK RUNNING CHANGING`.
fn other_generation(built: &str, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, link, running, changing] = words.as_slice() else { return None };
    if *link != built {
        return Some(format!("another generation of it was activated by hand: {link}"));
    }
    // After a boot nothing says what runs: it is the generation.
    let cut_short = *changing == "yes" || (*running != "-" && *running != built);
    cut_short.then(|| "a change of it was cut short".to_owned())
}
