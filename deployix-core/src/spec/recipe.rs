//! [`Service`]: recipes, which lower to data before any backend sees them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use super::{Schedule, ServiceSpec};
use crate::name::{BackendId, Name};

/// A recipe for something to run, lowered to data before any backend sees it.
///
/// # Contract
/// Lowering is pure: equal recipes give equal data, on every machine, whenever.
pub trait Service: fmt::Debug + Send + Sync {
    /// Lowers the recipe.
    ///
    /// # Errors
    /// Where the recipe makes no sense; the functionality that asked for it is left as it was.
    fn lower(&self) -> Result<Arc<Lowered>, SpecError>;
}

/// Tells why a recipe makes no sense: every reason at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", reasons.join("; "))]
pub struct SpecError {
    reasons: Vec<String>,
}

impl SpecError {
    /// For several reasons.
    #[must_use]
    pub fn new(reasons: Vec<String>) -> Self {
        Self { reasons }
    }

    /// For one reason.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reasons: vec![reason.into()] }
    }

    /// The reasons.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        &self.reasons
    }
}

/// What a recipe lowers to: one program, or several that run as one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lowered {
    /// One program.
    One(Box<ServiceSpec>),
    /// Several, on one host, sharing its loopback; each by its member name.
    Group(BTreeMap<Name, ServiceSpec>),
}

impl Lowered {
    /// The programs; those of a group with their member names.
    pub fn members(&self) -> impl Iterator<Item = (Option<&Name>, &ServiceSpec)> {
        let (one, group) = match self {
            Self::One(service) => (Some((None, &**service)), None),
            Self::Group(members) => (None, Some(members)),
        };
        one.into_iter()
            .chain(group.into_iter().flatten().map(|(name, service)| (Some(name), service)))
    }

    /// The programs, to be changed.
    pub fn services_mut(&mut self) -> impl Iterator<Item = &mut ServiceSpec> {
        let (one, group) = match self {
            Self::One(service) => (Some(&mut **service), None),
            Self::Group(members) => (None, Some(members.values_mut())),
        };
        one.into_iter().chain(group.into_iter().flatten())
    }

    /// Changes every program.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(&ServiceSpec) -> ServiceSpec) -> Self {
        match self {
            Self::One(service) => Self::One(Box::new(change(service))),
            Self::Group(members) => Self::Group(
                members.iter().map(|(name, service)| (name.clone(), change(service))).collect(),
            ),
        }
    }

    /// The programs as one backend is to see them.
    #[must_use]
    pub fn for_backend(&self, backend: &BackendId) -> Self {
        self.map(|service| service.for_backend(backend))
    }
}

impl From<ServiceSpec> for Lowered {
    fn from(service: ServiceSpec) -> Self {
        Self::One(Box::new(service))
    }
}

impl Service for Lowered {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        Ok(Arc::new(self.clone()))
    }
}

/// What has been lowered is shared, not copied.
impl Service for Arc<Lowered> {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        Ok(Self::clone(self))
    }
}

impl Service for ServiceSpec {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        Ok(Arc::new(self.clone().into()))
    }
}

impl Service for Arc<dyn Service> {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        (**self).lower()
    }
}

/// Several services run as one, on one host, sharing its loopback.
///
/// ```
/// use deployix_core::spec::{Group, Service, ServiceSpec};
///
/// let group = Group::new()
///     .member("evaluator", ServiceSpec::builder(["hydra-evaluator"]).build()?)?
///     .member("queue-runner", ServiceSpec::builder(["hydra-queue-runner"]).build()?)?;
/// assert_eq!(group.lower()?.members().count(), 2);
/// # Ok::<(), deployix_core::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Group {
    members: BTreeMap<Name, Arc<dyn Service>>,
}

impl Group {
    /// A group without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    ///
    /// # Errors
    /// Refuses a name that is none, or taken.
    pub fn member(
        mut self,
        name: &str,
        service: impl Service + 'static,
    ) -> Result<Self, SpecError> {
        let name = Name::new(name).map_err(|error| SpecError::because(error.to_string()))?;
        if self.members.contains_key(&name) {
            return Err(SpecError::because(format!("the group has two members `{name}`")));
        }
        self.members.insert(name, Arc::new(service));
        Ok(self)
    }
}

impl Service for Group {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        let mut members = BTreeMap::new();
        let mut reasons = Vec::new();
        for (name, service) in &self.members {
            match service.lower().map(Arc::unwrap_or_clone) {
                Ok(Lowered::One(service)) => {
                    members.insert(name.clone(), *service);
                }
                Ok(Lowered::Group(_)) => {
                    reasons
                        .push(format!("member `{name}` is itself a group: list its members here"));
                }
                Err(error) => {
                    reasons.extend(error.reasons().iter().map(|r| format!("member `{name}`: {r}")));
                }
            }
        }
        if self.members.is_empty() {
            reasons.push("the group has no members".to_owned());
        }
        if reasons.is_empty() {
            Ok(Arc::new(Lowered::Group(members)))
        } else {
            Err(SpecError::new(reasons))
        }
    }
}

/// A service that runs on a schedule instead of all the time.
#[derive(Debug, Clone)]
pub struct RunPeriodically<S> {
    /// What runs.
    pub service: S,
    /// When.
    pub schedule: Schedule,
}

impl<S: Service> Service for RunPeriodically<S> {
    fn lower(&self) -> Result<Arc<Lowered>, SpecError> {
        match Arc::unwrap_or_clone(self.service.lower()?) {
            Lowered::One(mut service) => {
                if let Some(schedule) = &service.schedule {
                    return Err(SpecError::because(format!(
                        "it already runs on a schedule of its own, \"{schedule}\""
                    )));
                }
                service.schedule = Some(self.schedule.clone());
                Ok(Arc::new(Lowered::One(service)))
            }
            Lowered::Group(_) => Err(SpecError::because(
                "a group cannot run on one schedule: give it to the members that need it",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(program: &str) -> ServiceSpec {
        ServiceSpec::builder([program]).build().unwrap()
    }

    #[test]
    fn a_group_lowers_its_members_and_tells_all_that_is_wrong() {
        let nested = Group::new().member("x", service("x")).unwrap();
        let twice = RunPeriodically {
            service: ServiceSpec::builder(["x"]).schedule("hourly").build().unwrap(),
            schedule: Schedule::Hours(2),
        };
        let group = Group::new()
            .member("a", service("a"))
            .unwrap()
            .member("b", nested)
            .unwrap()
            .member("c", twice)
            .unwrap();
        assert_eq!(group.lower().unwrap_err().reasons().len(), 2);
        assert!(Group::new().lower().is_err());
        assert!(Group::new().member("a", service("a")).unwrap().member("a", service("a")).is_err());
    }

    #[test]
    fn a_periodic_service_carries_its_schedule() {
        let periodic = RunPeriodically { service: service("x"), schedule: Schedule::Minutes(1) };
        let lowered = periodic.lower().unwrap();
        let (_, service) = lowered.members().next().unwrap();
        assert_eq!(service.schedule, Some(Schedule::Minutes(1)));
    }
}
