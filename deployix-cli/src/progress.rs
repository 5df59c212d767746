//! What happens while a plan is carried out, as it happens: one line for each functionality that
//! something is done for, and one for all; plain lines where there is no terminal.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anstyle::{AnsiColor, Style};
use deployix::core::{
    ResourceId,
    backend::{Awaited, Owner},
    execute::{Event, Fate, StepEnd},
    plan::Plan,
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::plain::plain;

/// So many of the last lines of a step are kept, to be shown where it fails.
const KEPT: usize = 15;

/// Where there is no terminal, a wait is a line at most so often.
const WAIT_AGAIN: Duration = Duration::from_secs(30);

/// The last lines that steps told.
pub(crate) type Logs = BTreeMap<ResourceId, VecDeque<String>>;

/// Shows events.
pub(crate) struct Progress {
    view: View,
    subjects: BTreeMap<Owner, Subject>,
    done: usize,
    logs: Logs,
    /// How long each thing was waited for when a line last told so.
    waits: BTreeMap<(ResourceId, String), Duration>,
}

/// Somebody for whom steps are done.
#[derive(Default)]
struct Subject {
    left: usize,
    begun: Option<Instant>,
    bar: Option<ProgressBar>,
    /// How the first step ended that did not go well, and why; nothing while all went well.
    failed: Option<(&'static str, String)>,
    settled: bool,
}

enum View {
    Bars { all: MultiProgress, total: ProgressBar },
    Lines(Box<dyn Write + Send>),
}

impl Progress {
    /// For standard error, as it is.
    pub(crate) fn new(plan: &Plan) -> Self {
        let view = if io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let total = all.add(ProgressBar::new(plan.steps.len() as u64));
            total.set_style(style("{spinner} {pos} of {len} steps, {elapsed} {msg}"));
            total.enable_steady_tick(Duration::from_millis(120));
            View::Bars { all, total }
        } else {
            View::Lines(Box::new(anstream::stderr()))
        };
        Self::with(plan, view)
    }

    fn with(plan: &Plan, view: View) -> Self {
        let mut subjects: BTreeMap<Owner, Subject> = BTreeMap::new();
        for step in &plan.steps {
            subjects.entry(subject(step.owner())).or_default().left += 1;
        }
        // They say themselves when they are settled, which they are by the machines that they run on.
        for name in plan.carried().into_keys() {
            subjects.entry(Owner::Functionality(name.clone())).or_default();
        }
        Self { view, subjects, done: 0, logs: Logs::new(), waits: BTreeMap::new() }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Began { .. } => {}
            Event::Waiting { owner, holder, .. } => {
                self.now(owner, &format!("waits: {}", plain(&holder.to_string())));
            }
            Event::Started { resource, owner, action } => {
                self.now(owner, &format!("{} {resource}", action.as_str()));
            }
            Event::Awaiting { resource, owner, wait } => self.awaiting(resource, owner, wait),
            Event::Told { resource, owner, line } => self.told(resource, owner, line),
            Event::Retrying { resource, owner, error, after } => {
                let (error, after) = (plain(error), seconds(*after));
                self.now(owner, &format!("{resource}: again in {after}, since {error}"));
            }
            Event::Finished { resource, owner, end, .. } => self.finished(resource, owner, end),
            Event::Settled { functionality, fate } => {
                self.settled(&Owner::Functionality(functionality.clone()), Some(fate));
            }
            Event::Interrupted => {
                self.line("interrupted: what is under way ends; once more ends at once");
            }
            _ => {}
        }
    }

    /// Takes the lines away that are about the moment; gives what the steps told.
    pub(crate) fn finish(self) -> Logs {
        for bar in self.subjects.into_values().filter_map(|subject| subject.bar) {
            bar.finish_and_clear();
        }
        if let View::Bars { all, total } = self.view {
            total.finish_and_clear();
            // With standard error gone there is nothing to clear.
            let _ = all.clear();
        }
        self.logs
    }

    /// Shows what is being done for somebody.
    fn now(&mut self, owner: &Owner, what: &str) {
        let owner = subject(owner);
        let Some(subject) = self.subjects.get_mut(&owner) else { return };
        subject.begun.get_or_insert_with(Instant::now);
        match &mut self.view {
            View::Bars { all, total } => {
                let bar = subject.bar.get_or_insert_with(|| {
                    let bar = all.insert_before(total, ProgressBar::new_spinner());
                    bar.set_style(style("{spinner} {prefix}: {wide_msg} {elapsed}"));
                    bar.set_prefix(owner.to_string());
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar
                });
                bar.set_message(what.to_owned());
            }
            View::Lines(lines) => write_line(lines, &format!("{owner}: {what}")),
        }
    }

    /// Shows what is waited for: a terminal's line as it is now, a line that stays only now and then.
    fn awaiting(&mut self, resource: &ResourceId, owner: &Owner, wait: &Awaited) {
        if let View::Lines(_) = self.view {
            let key = (resource.clone(), wait.what.clone());
            let last = self.waits.get(&key).filter(|last| **last <= wait.waited);
            if last.is_some_and(|last| wait.waited < *last + WAIT_AGAIN) {
                return;
            }
            self.waits.insert(key, wait.waited);
        }
        self.now(owner, &format!("{resource} {}", plain(&wait.to_string())));
    }

    fn told(&mut self, resource: &ResourceId, owner: &Owner, line: &str) {
        let lines = self.logs.entry(resource.clone()).or_default();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
        let bar = self.subjects.get(&subject(owner)).and_then(|subject| subject.bar.as_ref());
        // A build's log would drown plain lines; it is shown where it fails.
        if let Some(bar) = bar
            && !line.trim().is_empty()
        {
            bar.set_message(plain(line).into_owned());
        }
    }

    fn finished(&mut self, resource: &ResourceId, owner: &Owner, end: &StepEnd) {
        self.done += 1;
        if let View::Bars { total, .. } = &self.view {
            total.set_position(self.done as u64);
        }
        let owner = subject(owner);
        let Some(subject) = self.subjects.get_mut(&owner) else { return };
        subject.left = subject.left.saturating_sub(1);
        if !end.is_good() && subject.failed.is_none() {
            let why = match end {
                StepEnd::Failed { error } => {
                    format!(": {resource}: {}", plain(error.lines().next().unwrap_or_default()))
                }
                _ => String::new(),
            };
            subject.failed = Some((end_word(end), why));
        }
        // Functionalities say themselves when they are settled.
        if subject.left == 0 && !matches!(owner, Owner::Functionality(_)) {
            self.settled(&owner, None);
        }
    }

    fn settled(&mut self, owner: &Owner, fate: Option<&Fate>) {
        let Some(subject) = self.subjects.get_mut(owner) else { return };
        if std::mem::replace(&mut subject.settled, true) {
            return;
        }
        if let (View::Bars { all, .. }, Some(bar)) = (&self.view, subject.bar.take()) {
            bar.finish_and_clear();
            all.remove(&bar);
        }
        let (good, word) = match (fate, &subject.failed) {
            (Some(fate), _) => (fate.is_good(), fate_word(fate)),
            (None, Some((word, _))) => (false, *word),
            (None, None) => (true, "done"),
        };
        let why = subject.failed.take().filter(|_| !good).map(|(_, why)| why).unwrap_or_default();
        let mut line = format!("{} {owner}: {word}", mark(good));
        if let Some(begun) = subject.begun {
            let _ = write!(line, " after {}", seconds(begun.elapsed()));
        }
        let settled = self.subjects.values().filter(|subject| subject.settled).count();
        let _ = write!(line, " ({settled} of {}){why}", self.subjects.len());
        self.line(&line);
    }

    /// Shows a line that stays.
    fn line(&mut self, line: &str) {
        match &mut self.view {
            View::Bars { all, .. } => {
                let plain = AutoStream::choice(&io::stderr()) == ColorChoice::Never;
                let line = if plain { strip_str(line).to_string() } else { line.to_owned() };
                // With standard error gone there is nobody left to tell.
                let _ = all.println(line);
            }
            View::Lines(lines) => write_line(lines, line),
        }
    }
}

fn write_line(lines: &mut impl Write, line: &str) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(lines, "{line}").and_then(|()| lines.flush());
}

/// Whose line shows what is done for an owner: an edge's is its consumer's.
fn subject(owner: &Owner) -> Owner {
    match owner {
        Owner::Edge { consumer, .. } => Owner::Functionality(consumer.clone()),
        other => other.clone(),
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are literals that are valid.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// How long something took.
fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A mark for what went well, or did not.
pub(crate) fn mark(good: bool) -> String {
    let (mark, colour) = if good { ("✔", AnsiColor::Green) } else { ("✘", AnsiColor::Red) };
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{mark}{style:#}")
}

fn end_word(end: &StepEnd) -> &'static str {
    match end {
        StepEnd::Failed { .. } => "failed",
        StepEnd::Blocked { .. } => "blocked",
        StepEnd::Waits(_) => "waits its turn",
        StepEnd::Held { .. } => "held by somebody else",
        StepEnd::MovedOn { .. } => "moved on",
        StepEnd::Interrupted => "interrupted",
        StepEnd::PutBack => "put back",
        _ => "done",
    }
}

/// How a functionality ended, in a word or two.
pub(crate) fn fate_word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Deployed => "deployed",
        Fate::Removed => "removed",
        Fate::Restarted => "restarted",
        Fate::Prepared => "prepared for others",
        Fate::Failed { .. } => "failed",
        Fate::Blocked { .. } => "blocked",
        Fate::Waits { .. } => "waits its turn",
        Fate::Held { .. } => "held by somebody else",
        Fate::MovedOn { .. } => "moved on",
        Fate::Interrupted => "interrupted",
        Fate::PutBack => "put back",
        _ => "not done",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use deployix::core::{
        BackendId, Name,
        backend::{MemoryBackend, Registry},
        history::Heads,
        plan::{Only, PlannedAction, compile_anew, plan},
        spec::{Catalog, Deployment, FunctionalitySpec, ServiceSpec, Target},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    /// A page and the target it is on.
    fn planned() -> Plan {
        let service = ServiceSpec::builder(["page"]).build().unwrap();
        let catalog: Catalog =
            [FunctionalitySpec::new("page", service).unwrap().shared()].into_iter().collect();
        let mut deployment = Deployment::new(name("shop"), vec![catalog]);
        let target = Target::machine(name("box"), BackendId::new("memory").unwrap());
        deployment.infrastructure.targets.insert(name("box"), target);
        let registry = Registry::new().with(MemoryBackend::new());
        let compiled = compile_anew(deployment, &registry).complete().unwrap();
        plan(&compiled, &Heads::default(), &registry, &Only::All)
    }

    #[test]
    fn without_a_terminal_a_wait_is_a_line_every_half_minute() {
        let kept = Kept::default();
        let mut progress = Progress::with(&planned(), View::Lines(Box::new(kept.clone())));
        let mut wait = |what: &str, seconds| {
            progress.show(&Event::Awaiting {
                resource: ResourceId::new("memory/functionality/page").unwrap(),
                owner: Owner::Functionality(name("page")),
                wait: Awaited {
                    what: format!("{what} to run"),
                    seen: "it is \u{1b}[31mpending".to_owned(),
                    waited: Duration::from_secs(seconds),
                },
            });
        };
        for seconds in [10, 15, 39, 41, 70, 72] {
            wait("i-1", seconds);
        }
        wait("i-2", 73);
        wait("i-1", 11);

        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let told = |what, seconds| {
            format!(
                "page: memory/functionality/page waits for {what} to run \
                 (it is \\u{{1b}}[31mpending, {seconds} s)"
            )
        };
        let wanted = [told("i-1", 10), told("i-1", 41), told("i-1", 72), told("i-2", 73)];
        let wanted: Vec<_> = wanted.into_iter().chain([told("i-1", 11)]).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn without_a_terminal_each_thing_that_happens_is_a_line() {
        let kept = Kept::default();
        let mut progress = Progress::with(&planned(), View::Lines(Box::new(kept.clone())));
        let resource = ResourceId::new("memory/functionality/page").unwrap();
        let owner = Owner::Functionality(name("page"));
        let action = PlannedAction::Create;
        let (resource, owner) = (|| resource.clone(), || owner.clone());
        progress.show(&Event::Started { resource: resource(), owner: owner(), action });
        for line in 0..20 {
            let line = format!("\u{1b}[31mline {line}");
            progress.show(&Event::Told { resource: resource(), owner: owner(), line });
        }
        let (error, after) = ("not now".to_owned(), Duration::from_millis(500));
        progress.show(&Event::Retrying { resource: resource(), owner: owner(), error, after });
        let end = StepEnd::Failed { error: "no\nnor ever".to_owned() };
        progress.show(&Event::Finished { resource: resource(), owner: owner(), action, end });
        let errors = vec![(resource(), "no".to_owned())];
        let (functionality, fate) = (name("page"), Fate::Failed { errors });
        progress.show(&Event::Settled { functionality, fate });
        let (resource, owner) = (|| ResourceId::new("memory/target/box").unwrap(), name("box"));
        let end = StepEnd::Blocked { by: Owner::Functionality(name("page")) };
        let owner = Owner::Target(owner);
        progress.show(&Event::Finished { resource: resource(), owner, action, end });
        let logs = progress.finish();

        let told: Vec<_> = logs.values().flatten().map(String::as_str).collect();
        assert_eq!(told.len(), KEPT);
        assert_eq!(told.last(), Some(&"\u{1b}[31mline 19"));
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let text = strip_str(&text).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "page: create memory/functionality/page");
        assert_eq!(lines[1], "page: memory/functionality/page: again in 0.5 s, since not now");
        assert!(lines[2].starts_with("✘ page: failed after 0."), "{text}");
        assert!(lines[2].ends_with("(1 of 2): memory/functionality/page: no"), "{text}");
        assert_eq!(lines[3..], ["✘ target box: blocked (2 of 2)"]);
    }
}
