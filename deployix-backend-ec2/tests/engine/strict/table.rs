//! [`Table`]: things of one kind, shown after a while, changing with time.

use std::{collections::BTreeMap, fmt, time::Duration};

use deployix_backend_ec2::{
    engine::call::{CallError, Page, Query},
    request::Tag,
};
use tokio::time::Instant;

pub(super) type Result<T> = std::result::Result<T, CallError>;

pub(super) fn refuse<T>(code: &str, message: impl fmt::Display) -> Result<T> {
    Err(CallError::refused(code, message.to_string()))
}

/// What filters can be about.
pub(crate) trait Thing: Clone {
    fn tags(&self) -> &[Tag];

    fn tags_mut(&mut self) -> &mut Vec<Tag>;

    /// The values of what a filter names; `None` where no filter is named so.
    fn field(&self, name: &str) -> Option<Vec<String>>;
}

type Turn<T> = Box<dyn FnOnce(&mut T) + Send>;

pub(crate) struct Entry<T> {
    pub(crate) it: T,
    pace: u32,
    shown_from: Instant,
    turns: Vec<(Instant, Turn<T>)>,
    gone_at: Option<Instant>,
}

pub(crate) struct Table<T>(BTreeMap<String, Entry<T>>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(id, entry)| (id, &entry.it))).finish()
    }
}

/// How a new thing comes to be seen, and how fast it changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delay {
    /// It is shown so much later.
    pub(super) shown: Duration,
    /// Its states follow so many times faster than on AWS.
    pub(super) pace: u32,
}

impl Default for Delay {
    fn default() -> Self {
        Self { shown: Duration::ZERO, pace: 1 }
    }
}

impl Delay {
    /// For what is shown at once.
    pub(super) fn at_once(self) -> Self {
        Self { shown: Duration::ZERO, ..self }
    }
}

/// How much later than it is shown a thing is known to what changes it.
const KNOWN: Duration = Duration::from_millis(1500);

impl<T: Thing> Table<T> {
    pub(super) fn add(&mut self, id: impl Into<String>, it: T, late: Delay) -> &mut Entry<T> {
        let shown_from = Instant::now() + late.shown;
        let entry = Entry { it, pace: late.pace, shown_from, turns: Vec::new(), gone_at: None };
        self.0.entry(id.into()).insert_entry(entry).into_mut()
    }

    /// One that callers can name: it was shown, and a moment later is known everywhere.
    pub(super) fn get(&mut self, id: &str, code: &str) -> Result<&mut Entry<T>> {
        let known = |entry: &&mut Entry<T>| entry.shown_from + KNOWN / entry.pace <= Instant::now();
        let entry = self.0.get_mut(id).filter(known);
        entry.ok_or_else(|| CallError::refused(code, format!("{id} does not exist")))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|entry| &entry.it)
    }

    /// Those that AWS knows of itself by now.
    pub(super) fn shown(&self) -> impl Iterator<Item = &T> {
        let now = Instant::now();
        self.0.values().filter(move |entry| entry.shown_from <= now).map(|entry| &entry.it)
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.values_mut().map(|entry| &mut entry.it)
    }

    pub(crate) fn entry(&mut self, id: &str) -> Option<&mut Entry<T>> {
        self.0.get_mut(id)
    }

    /// Takes one away, as somebody does who asks nobody.
    pub(crate) fn take(&mut self, id: &str) {
        self.remove(id);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        self.0.remove(id).map(|entry| entry.it)
    }

    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.0.retain(|_, entry| entry.gone_at.is_none_or(|at| at > now));
        for entry in self.0.values_mut() {
            let due = entry.turns.iter().take_while(|(at, _)| *at <= now).count();
            for (_, turn) in entry.turns.drain(..due) {
                turn(&mut entry.it);
            }
        }
    }

    pub(super) fn page(&self, query: &Query, at_once: usize) -> Result<Page<T>> {
        let now = Instant::now();
        let mut matching = Vec::new();
        for entry in self.0.values().filter(|entry| entry.shown_from <= now) {
            if matches(&entry.it, query)? {
                matching.push(entry.it.clone());
            }
        }
        page(matching, query, at_once)
    }
}

pub(super) fn page<T>(mut all: Vec<T>, query: &Query, at_once: usize) -> Result<Page<T>> {
    let from: usize = match &query.next_token {
        Some(token) => match token.strip_prefix("from-").map(str::parse) {
            Some(Ok(from)) => from,
            _ => return refuse("InvalidNextToken", token),
        },
        None => 0,
    };
    let next_token = (all.len() > from + at_once).then(|| format!("from-{}", from + at_once));
    let items = all.drain(from.min(all.len())..).take(at_once).collect();
    Ok(Page { items, next_token })
}

fn matches<T: Thing>(thing: &T, query: &Query) -> Result<bool> {
    for filter in &query.filters {
        if filter.values.len() > 200 {
            return refuse("FilterLimitExceeded", &filter.name);
        }
        let values = match filter.name.strip_prefix("tag:") {
            Some(key) => {
                let tags = thing.tags().iter().filter(|tag| tag.key == key);
                tags.map(|tag| tag.value.clone()).collect()
            }
            None => match thing.field(&filter.name) {
                Some(values) => values,
                None => return refuse("InvalidParameterValue", format!("filter {}", filter.name)),
            },
        };
        let is = |wanted: &str, value: &str| match wanted.strip_suffix('*') {
            Some(start) => value.starts_with(start),
            None => value == wanted,
        };
        if !filter.values.iter().any(|wanted| values.iter().any(|value| is(wanted, value))) {
            return Ok(false);
        }
    }
    Ok(true)
}

impl<T> Entry<T> {
    pub(super) fn then(
        &mut self,
        seconds: u64,
        turn: impl FnOnce(&mut T) + Send + 'static,
    ) -> &mut Self {
        let at = Instant::now() + Duration::from_secs(seconds) / self.pace;
        self.turns.push((at, Box::new(turn)));
        self
    }

    /// What was to come comes no more.
    pub(crate) fn instead(&mut self) -> &mut Self {
        self.turns.clear();
        self
    }

    pub(super) fn gone_after(&mut self, seconds: u64) {
        self.gone_at = Some(Instant::now() + Duration::from_secs(seconds) / self.pace);
    }
}

/// Puts tags onto others, as AWS takes them.
pub(super) fn put_tags(has: &mut Vec<Tag>, new: &[Tag]) -> Result<()> {
    check_tags(new)?;
    let mut all: BTreeMap<_, _> = has.drain(..).map(|tag| (tag.key, tag.value)).collect();
    all.extend(new.iter().map(|tag| (tag.key.clone(), tag.value.clone())));
    if all.len() > 50 {
        return refuse("TagLimitExceeded", all.len());
    }
    *has = all.into_iter().map(|(key, value)| Tag::new(key, value)).collect();
    Ok(())
}

/// The tags of something new.
pub(super) fn new_tags(tags: &[Tag]) -> Result<Vec<Tag>> {
    let mut has = Vec::new();
    put_tags(&mut has, tags)?;
    Ok(has)
}

fn check_tags(tags: &[Tag]) -> Result<()> {
    let mut keys: Vec<_> = tags.iter().map(|tag| &tag.key).collect();
    keys.sort();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return refuse("InvalidParameterValue", "duplicate tag keys");
    }
    for Tag { key, value } in tags {
        if key.is_empty() || key.len() > 128 || value.len() > 256 || key.starts_with("aws:") {
            return refuse("InvalidParameterValue", format!("tag {key}={value}"));
        }
    }
    Ok(())
}
