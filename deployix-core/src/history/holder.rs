//! Who does something, and whether they are certainly gone.

use std::{env, fs, process};

use super::{Holder, RunId, chance::chance};
use crate::{digest::Digest, name::HistoryId};

impl Holder {
    /// Whoever runs this process.
    #[must_use]
    pub fn current() -> Self {
        Self {
            name: person(),
            host: host(),
            process: process::id(),
            incarnation: incarnation(process::id()),
        }
    }

    /// Whether it is certain that this process does not go on: it ran here, since this machine was
    /// started, and there is no such process any more.
    ///
    /// Where that cannot be told, as elsewhere than on Linux, it is not.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        let Some((surroundings, started)) = self.incarnation.as_deref().and_then(apart) else {
            return false;
        };
        let here = surroundings_here();
        self.host == host()
            && here.as_deref() == Some(surroundings)
            && all_processes_are_seen()
            && match Stat::of(self.process) {
                Ok(stat) => stat.started != started || stat.is_over(self.process),
                Err(error) => error.kind() == std::io::ErrorKind::NotFound,
            }
    }
}

impl RunId {
    /// An id that no other run has.
    #[must_use]
    pub fn new(by: &Holder) -> Self {
        Self(drawn(by, 16))
    }
}

impl HistoryId {
    /// An id that no other history has.
    #[must_use]
    pub fn draw(by: &Holder) -> Self {
        // As many digits as an id has.
        #[expect(clippy::expect_used, reason = "a digest's digits are those of an id")]
        Self::new(drawn(by, 32)).expect("valid")
    }
}

/// So many hexadecimal digits that nobody else draws.
fn drawn(by: &Holder, count: usize) -> String {
    let drawn = format!("{by} {:?} {:016x}{:016x}", by.incarnation, chance(), chance());
    let mut digits = Digest::of_bytes(drawn.as_bytes()).to_string();
    digits.truncate(count);
    digits
}

fn person() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| env::var(name).ok());
    named.filter(|name| !name.is_empty()).or_else(account).unwrap_or_else(|| "somebody".to_owned())
}

/// The name of the account that runs this process.
fn account() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let id = ids.split_whitespace().next()?;
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(id)).then(|| name.to_owned())
    });
    named.or_else(|| Some(format!("user {id}")))
}

fn host() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| env::var(name).ok());
    let host = kernel.or(named).unwrap_or_default();
    match host.trim() {
        "" => "somewhere".to_owned(),
        host => host.to_owned(),
    }
}

/// What tells a process from others of its number: where its number counts, and when it started.
fn incarnation(process: u32) -> Option<String> {
    let started = Stat::of(process).ok()?.started;
    Some(format!("{} {started}", surroundings_here()?))
}

fn apart(incarnation: &str) -> Option<(&str, u64)> {
    let (surroundings, started) = incarnation.rsplit_once(' ')?;
    Some((surroundings, started.parse().ok()?))
}

/// Where a process's number and its start count: this boot of the machine, and the namespaces.
fn surroundings_here() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let of = |kind: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
        Some(link.to_string_lossy().replace(' ', ""))
    };
    // Older kernels have no namespaces of time.
    Some(format!("{} {} {}", boot.trim(), of("pid")?, of("time").unwrap_or_default()))
}

/// Whether other people's processes are not hidden.
fn all_processes_are_seen() -> bool {
    let Ok(mounts) = fs::read_to_string("/proc/self/mounts") else { return false };
    let mut processes = mounts.lines().filter(|line| {
        let mut fields = line.split(' ');
        fields.nth(1) == Some("/proc") && fields.next() == Some("proc")
    });
    processes.all(|line| {
        let options = line.split(' ').nth(3).unwrap_or_default();
        let hides = |option: &str| match option.split_once('=') {
            Some(("hidepid", how)) => how != "0" && how != "off",
            Some(("subset", _)) => true,
            _ => false,
        };
        !options.split(',').any(hides)
    })
}

/// What Linux tells of a process (proc_pid_stat(5)).
struct Stat {
    state: String,
    started: u64,
}

impl Stat {
    fn of(process: u32) -> std::io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        Self::parse(&text).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, in which anything may stand.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.to_owned();
        // Field 22, in clock ticks since the machine was started.
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { state, started })
    }

    /// Whether it ended and only waits for somebody to be told.
    fn is_over(&self, process: u32) -> bool {
        // The first thread of a process may be over while others go on.
        let alone = || fs::read_dir(format!("/proc/{process}/task")).map(Iterator::count);
        matches!(self.state.as_str(), "Z" | "X" | "x") && alone().is_ok_and(|count| count <= 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_runs_the_tests_is_not_gone() {
        let holder = Holder::current();
        assert_eq!(holder.process, process::id());
        assert!(!holder.name.is_empty() && !holder.host.is_empty());
        assert!(!holder.is_gone());
        assert_eq!(holder, Holder::current());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_ended_is_gone_and_one_elsewhere_may_not_be() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = child.id();
        let holder = Holder { process, incarnation: incarnation(process), ..Holder::current() };
        assert!(!holder.is_gone());
        child.kill().unwrap();
        // Nobody was told yet that it ended, but it does nothing any more.
        let told = std::time::Instant::now();
        while !holder.is_gone() {
            assert!(told.elapsed().as_secs() < 10, "it was killed");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(holder.is_gone());

        let elsewhere = Holder { host: "elsewhere".to_owned(), ..holder.clone() };
        assert!(!elsewhere.is_gone());
        let before = incarnation(process::id()).unwrap();
        let (surroundings, started) = apart(&before).unwrap();
        let later = Some(format!("{surroundings} {}", started + 1));
        let reused = Holder { process: process::id(), incarnation: later, ..holder.clone() };
        assert!(reused.is_gone(), "its number is another process's now");
        let booted = Some(format!("x{surroundings} {started}"));
        assert!(!Holder { incarnation: booted, ..holder.clone() }.is_gone());
        assert!(!Holder { incarnation: None, ..holder }.is_gone());
    }

    #[test]
    fn a_programs_name_may_hold_anything() {
        let text = "7 (a) b) (c) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state.as_str(), stat.started), ("S", 4711));
    }

    #[test]
    fn no_two_runs_or_histories_have_one_id() {
        let holder = Holder::current();
        let ids: std::collections::BTreeSet<_> = (0..1000).map(|_| RunId::new(&holder)).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            assert!(id.as_str().len() == 16 && id.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        }
        let ids: std::collections::BTreeSet<_> =
            (0..1000).map(|_| HistoryId::draw(&holder)).collect();
        assert_eq!(ids.len(), 1000);
    }
}
