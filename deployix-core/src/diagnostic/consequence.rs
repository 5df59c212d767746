//! What comes of a mistake is told with it, once: as a note on the finding, and not as findings that
//! read like mistakes of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use super::{Diagnostic, Severity, named};
use crate::{backend::Subject, name::Name, topology::balancer};

/// Something that others depend on, and that may be described wrongly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A functionality; a load balancer by its name among them.
    Functionality(Name),
    Target(Name),
    Network(Name),
    Location(Name),
    DefaultBackend,
    /// Whatever describes functionalities and could not be read.
    Catalogs,
    /// Whatever describes targets, networks, locations and load balancers and could not be read.
    Infrastructure,
}

impl Cause {
    /// A load balancer by its own name.
    pub(crate) fn load_balancer(name: Name) -> Self {
        Self::Functionality(balancer::node_name(&name).unwrap_or(name))
    }
}

impl From<&Subject> for Cause {
    fn from(subject: &Subject) -> Self {
        match subject {
            Subject::Location(name) => Self::Location(name.clone()),
            Subject::Network(name) => Self::Network(name.clone()),
            Subject::Target(name) => Self::Target(name.clone()),
        }
    }
}

/// What goes no further because of a mistake that is elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stopped {
    /// Functionalities and load balancers.
    pub functionalities: BTreeSet<Name>,
    /// Targets.
    pub targets: BTreeSet<Name>,
}

impl Stopped {
    /// Whether that is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functionalities.is_empty() && self.targets.is_empty()
    }
}

/// `` `web`, `db` and 3 more on `one` ``.
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let functionalities = named(&self.functionalities);
        let targets = named(&self.targets);
        match (self.functionalities.is_empty(), self.targets.is_empty()) {
            (false, false) => write!(f, "{functionalities} on {targets}"),
            (true, false) => write!(f, "what is on {targets}"),
            (_, true) => f.write_str(&functionalities),
        }
    }
}

/// `` so it is not known whether there is a target `box`, and `web` cannot be deployed ``.
pub(super) fn told(stops: &Stopped, hides: &BTreeSet<String>) -> Option<String> {
    let stopped = (!stops.is_empty()).then(|| format!("{stops} cannot be deployed"));
    let hidden = hidden(hides).map(|what| format!("it is not known whether there is {what}"));
    match (hidden, stopped) {
        (Some(hidden), Some(stopped)) => Some(format!("so {hidden}, and {stopped}")),
        (one, other) => one.or(other).map(|only| format!("so {only}")),
    }
}

/// `` a target `box`, a network `sg` or 3 others ``.
fn hidden(hides: &BTreeSet<String>) -> Option<String> {
    /// So many are listed; more are counted.
    const LISTED: usize = 3;
    let mut all: Vec<String> = hides.iter().take(LISTED).cloned().collect();
    match hides.len() - all.len() {
        0 => {}
        1 => all.push("another one".to_owned()),
        more => all.push(format!("{more} others")),
    }
    let last = all.pop()?;
    Some(if all.is_empty() { last } else { format!("{} or {last}", all.join(", ")) })
}

/// Has what comes of a mistake told with the first finding about it, of findings in order; what comes of
/// nothing that is told stays a finding of its own, so that nothing goes untold.
pub(super) fn fold(findings: &mut Vec<Diagnostic>) {
    if findings.iter().all(|finding| finding.because.is_empty()) {
        return;
    }
    let mistakes = mistakes(findings);
    let mut left: Vec<_> = std::mem::take(findings).into_iter().map(Some).collect();
    for (at, mistake) in mistakes.into_iter().enumerate() {
        if let Some(mistake) = mistake
            && let Some(finding) = left[at].take()
            && let Some(mistake) = &mut left[mistake]
        {
            mistake.tell(finding);
        }
    }
    findings.extend(left.into_iter().flatten());
}

/// The first mistake that each finding comes of, by position; nothing for mistakes themselves.
fn mistakes(findings: &[Diagnostic]) -> Vec<Option<usize>> {
    let mut consequences: BTreeMap<&Cause, Vec<usize>> = BTreeMap::new();
    for (at, finding) in findings.iter().enumerate() {
        finding.because.iter().for_each(|cause| consequences.entry(cause).or_default().push(at));
    }
    let mut mistakes = vec![None; findings.len()];
    let mut seen = BTreeSet::new();
    for (mistake, finding) in findings.iter().enumerate() {
        let is_mistake = finding.severity == Severity::Error && finding.because.is_empty();
        let mut open: Vec<_> = finding.of.iter().filter(|_| is_mistake).collect();
        while let Some(cause) = open.pop() {
            if seen.insert(cause) {
                for &at in consequences.get(cause).into_iter().flatten() {
                    mistakes[at].get_or_insert(mistake);
                    open.extend(&findings[at].of);
                }
            }
        }
    }
    mistakes
}

impl Diagnostic {
    /// Tells what comes of it as a part of it.
    fn tell(&mut self, consequence: Self) {
        let Self { stops, hides, of, .. } = consequence;
        self.stops.functionalities.extend(stops.functionalities);
        self.stops.targets.extend(stops.targets);
        self.hides.extend(hides);
        for stopped in of.into_iter().filter(|of| !self.of.contains(of)) {
            match stopped {
                Cause::Functionality(name) => drop(self.stops.functionalities.insert(name)),
                Cause::Target(name) => drop(self.stops.targets.insert(name)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{Code, Diagnostics};

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn target(text: &str) -> Cause {
        Cause::Target(name(text))
    }

    fn mistake(of: Cause) -> Diagnostic {
        Diagnostic::error(Code::KeyUnknown, "wrong").of(of)
    }

    fn blocked(of: &str, because: impl IntoIterator<Item = Cause>) -> Diagnostic {
        Diagnostic::error(Code::Blocked, of).about(&name(of)).because(because)
    }

    fn sorted(findings: impl IntoIterator<Item = Diagnostic>) -> Vec<String> {
        let mut findings: Diagnostics = findings.into_iter().collect();
        findings.sort();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_comes_of_a_mistake_over_any_number_of_steps_is_told_with_it() {
        let network = Diagnostic::error(Code::Blocked, "box")
            .of(target("box"))
            .because([Cause::Network(name("sg"))]);
        let web = Cause::Functionality(name("web"));
        let findings = [
            blocked("news", [web.clone()]),
            blocked("web", [target("box")]),
            network,
            mistake(Cause::Network(name("sg"))),
            mistake(target("other")),
        ];
        let wanted = [
            "error[key-unknown]: wrong; so `news` and `web` on `box` cannot be deployed",
            "error[key-unknown]: wrong",
        ];
        let told = sorted(findings);
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_comes_of_nothing_that_is_told_is_told_itself() {
        let mutual = [
            blocked("a", [Cause::Functionality(name("b"))]),
            blocked("b", [Cause::Functionality(name("a"))]),
        ];
        let remark = Diagnostic::warning(Code::Noted, "fine").of(Cause::Functionality(name("a")));
        assert_eq!(
            sorted(mutual.into_iter().chain([remark])),
            ["error[blocked]: a", "error[blocked]: b", "warning[noted]: fine"]
        );
    }

    #[test]
    fn what_may_come_of_several_mistakes_is_told_once() {
        let file = |line: &str| Diagnostic::error(Code::SyntaxInvalid, line);
        let lost = blocked("web", [Cause::Infrastructure, Cause::Catalogs]);
        let findings = [
            lost.hidden("a target `box`"),
            file("1").of(Cause::Catalogs),
            file("2").of(Cause::Infrastructure),
        ];
        let told = sorted(findings);
        let note =
            "so it is not known whether there is a target `box`, and `web` cannot be deployed";
        assert_eq!(
            told,
            [format!("error[syntax-invalid]: 1; {note}"), "error[syntax-invalid]: 2".into()]
        );
    }

    #[test]
    fn much_that_is_hidden_is_counted() {
        let hides = |count: usize| (0..count).map(|at| format!("a target `t{at}`")).collect();
        assert_eq!(hidden(&hides(0)), None);
        assert_eq!(hidden(&hides(2)).unwrap(), "a target `t0` or a target `t1`");
        let many = "a target `t0`, a target `t1`, a target `t2` or 7 others";
        assert_eq!(hidden(&hides(10)).unwrap(), many);
    }

    #[test]
    fn a_long_chain_of_consequences_takes_no_time_to_speak_of() {
        let of = |at: usize| Cause::Functionality(name(&format!("n{at}")));
        let chain = (1..50_000).map(|at| blocked(&format!("n{at}"), [of(at - 1)]));
        let told = sorted(chain.chain([mistake(of(0))]));
        assert_eq!(told.len(), 1);
        assert!(
            told[0].ends_with(
                "`n1`, `n10`, `n100`, `n1000`, `n10000` and 49994 more cannot be deployed"
            ),
            "{told:?}"
        );
    }
}
