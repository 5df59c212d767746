//! A strict EC2 in memory: it refuses what AWS refuses, shows what it made only after a while, moves
//! states on by the test's own clock, and fails as it is told to.
//!
//! It knows one account, and each region apart. What it answers is what AWS's API references say;
//! where they leave a choice it takes the one that is harder on whoever calls.

mod action;
mod balancing;
mod machine;
mod names;
mod network;
mod parameters;
#[path = "../../support/random.rs"]
mod random;
mod scaling;
mod storage;
mod table;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
pub(crate) use balancing::seat;
use deployix_backend_ec2::{
    engine::call::{Answer, Aws, Call, CallError},
    request::Service,
};
use deployix_core::{history::Holder, plan::Plan, spec::Deployment};
pub(crate) use names::Names;
use random::next;
use tokio::sync::Notify;
pub(crate) use world::World;

use crate::site::{Site, ZONE, ends};

/// How the account answers apart from what it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mood {
    /// Of so many calls in a hundred something goes wrong.
    pub(crate) faults: u64,
    /// At this call that writes, counted from 0, whoever calls is cut off: before it is carried out,
    /// or after.
    pub(crate) dies_at: Option<(u64, Death)>,
    /// Operations that are refused, `any` for all, and with which code and message.
    pub(crate) refuses: BTreeMap<&'static str, (&'static str, &'static str)>,
    /// New things are shown after up to so many milliseconds.
    pub(crate) late: u64,
    /// States follow each other so many times faster than on AWS.
    pub(crate) pace: u32,
    /// How long each call takes.
    pub(crate) latency: Duration,
    /// Things to a page: few, so that pages are seen.
    pub(crate) page: usize,
    /// What is put into S3 is lost.
    pub(crate) loses_objects: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Before,
    After,
}

#[derive(Debug, Default)]
struct Account {
    regions: BTreeMap<String, World>,
    names: Names,
    /// What every call showed of itself, where somebody listens.
    heard: Option<Vec<String>>,
    mood: Mood,
    random: u64,
    calls: u64,
    write_calls: u64,
    tally: BTreeMap<&'static str, u64>,
    writes: Vec<String>,
    watched: Option<Watched>,
    /// What whoever called had to be allowed.
    actions: BTreeSet<String>,
}

/// What is counted in a region after every call.
#[derive(Debug)]
struct Watched {
    region: &'static str,
    count: fn(&World) -> usize,
    /// The fewest so far.
    fewest: usize,
}

/// The account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strict {
    account: Arc<Mutex<Account>>,
    died: Arc<Notify>,
}

const REGIONS: [&str; 3] = ["ap-southeast-1", "eu-central-1", "us-east-1"];

enum Fault {
    None,
    Before(CallError),
    After(CallError),
    Dies(Death),
}

impl Strict {
    /// An empty account with two buckets.
    pub(crate) fn new(seed: u64) -> Self {
        let strict = Self::default();
        strict.lock().random = seed;
        strict.mood(|mood| {
            (mood.late, mood.pace) = (3000, 1);
            mood.latency = Duration::from_millis(20);
            mood.page = 4;
        });
        strict.by_hand("eu-central-1", |world| {
            for bucket in ["boot", "other"] {
                world.buckets.insert(bucket.to_owned(), BTreeMap::new());
            }
        });
        strict
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    pub(crate) fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.lock().mood);
    }

    /// A region's things, for those who change them by hand.
    pub(crate) fn by_hand<R>(&self, region: &str, change: impl FnOnce(&mut World) -> R) -> R {
        let mut account = self.lock();
        let world = account.regions.entry(region.to_owned()).or_default();
        world.tick();
        change(world)
    }

    /// The zones, for those who make them and change records by hand.
    pub(crate) fn names<R>(&self, change: impl FnOnce(&mut Names) -> R) -> R {
        change(&mut self.lock().names)
    }

    /// Listens to what calls and answers show of themselves from now on.
    pub(crate) fn listen(&self) {
        self.lock().heard = Some(Vec::new());
    }

    /// What was heard.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.lock().heard.clone().unwrap_or_default()
    }

    /// How often it was called so far.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// How often it was called so far, by operation.
    pub(crate) fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.lock().tally.clone()
    }

    /// How often it was asked to write something so far.
    pub(crate) fn write_calls(&self) -> u64 {
        self.lock().write_calls
    }

    /// The operations that wrote something since this was last asked.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    /// What whoever called, or asked whether they may, had to be allowed since this was last asked.
    pub(crate) fn take_actions(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().actions)
    }

    /// Counts something in a region after every call from now on.
    pub(crate) fn watch(&self, region: &'static str, count: fn(&World) -> usize) {
        self.lock().watched = Some(Watched { region, count, fewest: usize::MAX });
    }

    /// The fewest that were counted since then.
    pub(crate) fn fewest(&self) -> usize {
        self.lock().watched.as_ref().unwrap().fewest
    }

    /// Waits until whoever calls was cut off.
    pub(crate) async fn died(&self) {
        self.died.notified().await;
    }

    /// Everything in the account but what is gone, by kind: without ids, which differ.
    pub(crate) fn inventory(&self) -> Vec<String> {
        let mut account = self.lock();
        let mut all = Vec::new();
        for (region, world) in &mut account.regions {
            world.tick();
            all.extend(world.inventory().into_iter().map(|line| format!("{region} {line}")));
        }
        all.extend(account.names.inventory());
        all.sort();
        all
    }

    /// Everything in the account as it is, with all tags; still, once all that is on its way is there.
    pub(crate) fn raw(&self) -> Vec<String> {
        let mut account = self.lock();
        let mut all = account.names.raw();
        for (region, world) in &mut account.regions {
            world.tick();
            all.extend(world.raw().into_iter().map(|line| format!("{region} {line}")));
        }
        all
    }

    fn fault(&self, call: &Call) -> Fault {
        let mut account = self.lock();
        account.calls += 1;
        *account.tally.entry(call.operation()).or_default() += 1;
        account.actions.extend([action::own(call)].into_iter().chain(action::beside(call)));
        let number = account.write_calls;
        account.write_calls += u64::from(is_write(call));
        let refuses = &account.mood.refuses;
        if let Some((code, message)) = refuses.get(call.operation()).or(refuses.get("any")) {
            return Fault::Before(CallError::refused(*code, *message));
        }
        if let Some((at, death)) = account.mood.dies_at
            && at + 1 == account.write_calls
            && at == number
        {
            account.mood.dies_at = None;
            return Fault::Dies(death);
        }
        let mut random = account.random;
        let (roll, which) = (next(&mut random) % 100, next(&mut random) % 6);
        account.random = random;
        if roll >= account.mood.faults {
            return Fault::None;
        }
        let failed = || CallError { maybe_done: true, ..CallError::refused("InternalError", "") };
        match which {
            0 | 1 => Fault::Before(CallError::refused("RequestLimitExceeded", "slow down")),
            2 => Fault::Before(failed()),
            3 => Fault::After(failed()),
            4 => Fault::Before(CallError::no_answer("the connection was cut")),
            _ => Fault::After(CallError::no_answer("the connection was cut")),
        }
    }

    fn carry_out(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError> {
        let region = region.unwrap_or("us-east-1");
        if !REGIONS.contains(&region) {
            return Err(CallError::refused("UnknownRegion", region));
        }
        let mut account = self.lock();
        let Account { regions, names, random, mood, writes, heard, watched, .. } = &mut *account;
        let world = regions.entry(region.to_owned()).or_default();
        region.clone_into(&mut world.region);
        let late = Duration::from_millis(next(random) % (mood.late + 1));
        world.late = table::Delay { shown: late, pace: mood.pace };
        world.page = mood.page;
        world.tick();
        let answer = match call.service() {
            Service::Route53 => names.call(call),
            _ => world.call(call),
        };
        if let Some(watched) = watched
            && watched.region == region
        {
            world.tick();
            watched.fewest = (watched.count)(world).min(watched.fewest);
        }
        if let Some(heard) = heard {
            heard.push(format!("{call:?} {call:#?} {answer:?}"));
        }
        if mood.loses_objects {
            world.buckets.values_mut().for_each(BTreeMap::clear);
        }
        if is_write(call) && answer.is_ok() {
            writes.push(call.operation().to_owned());
        }
        answer
    }
}

fn is_write(call: &Call) -> bool {
    !matches!(call, Call::Read(_) | Call::DryRun { .. })
}

impl crate::site::Account for Strict {
    fn client(&self) -> Arc<dyn Aws> {
        Arc::new(self.clone())
    }

    async fn things(&self) -> Vec<String> {
        self.inventory()
    }

    fn calls(&self) -> u64 {
        Self::calls(self)
    }

    fn take_writes(&self) -> Vec<String> {
        Self::take_writes(self)
    }

    fn refuse(&self, operation: &'static str, code: &'static str, message: &'static str) {
        self.mood(|mood| {
            mood.refuses.insert(operation, (code, message));
        });
    }
}

impl Site<Strict> {
    pub(crate) fn new(deployment: &Deployment, seed: u64) -> Self {
        let aws = Strict::new(seed);
        // Zones are made by people.
        aws.names(|names| names.add_zone(ZONE, "example.com"));
        Self::of(aws, deployment)
    }

    /// Carries a plan out as a process that is gone by now.
    pub(crate) async fn carry_out_and_die(&self, plan: &Plan) {
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let mut by = Holder::current();
        by.process = gone.id();
        tokio::select! {
            // How often a late thing is asked for again differs from run to run.
            report = self.carry_out_by(by, plan) => assert!(report.is_good(), "{}", ends(&report)),
            () = self.aws.died() => {}
        }
        // Whoever comes next does not die of it.
        self.aws.mood(|mood| mood.dies_at = None);
    }
}

#[async_trait]
impl Aws for Strict {
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError> {
        let latency = self.lock().mood.latency;
        tokio::time::sleep(latency).await;
        match self.fault(call) {
            Fault::None => self.carry_out(region, call),
            Fault::Before(error) => Err(error),
            Fault::After(error) => {
                let _ = self.carry_out(region, call);
                Err(error)
            }
            Fault::Dies(death) => {
                if death == Death::After {
                    let _ = self.carry_out(region, call);
                }
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }
}
