//! Scripts that go on on a machine whatever becomes of the connection.

use std::{collections::VecDeque, time::Duration};

use deployix_core::backend::{BackendError, ErrorKind};
use deployix_transport::TransportError;
use tokio::time::{Instant, sleep};

use super::{command::script, host::Host};

const START: &str = include_str!("start.sh");
const LOOK: &str = include_str!("look.sh");

/// How often one is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The longest that one look may take.
const ONE_LOOK: Duration = Duration::from_secs(20);

/// How many lines of a log an error holds.
const LAST_LINES: usize = 20;

/// Where scripts that go on have their folders.
pub(super) fn folder(name: &str) -> String {
    format!("/run/deployix-switch/{name}")
}

/// A script that goes on.
pub(super) struct Detached<'a> {
    host: &'a Host,
    name: &'a str,
    tell: &'a (dyn Fn(&str) + Sync),
    /// How long the machine may not answer.
    patience: Duration,
    answered: Instant,
    looked: bool,
    log: Log,
}

impl<'a> Detached<'a> {
    /// Starts a script under a name that no other has.
    pub(super) async fn start(
        host: &'a Host,
        name: &'a str,
        text: &'static str,
        arguments: &[&str],
        patience: Duration,
        tell: &'a (dyn Fn(&str) + Sync),
    ) -> Result<Self, BackendError> {
        let start = script(START, "start", &[&[name], arguments].concat()).stdin(text);
        host.run("activate", start, tell).await?;
        let answered = Instant::now();
        Ok(Self { host, name, tell, patience, answered, looked: false, log: Log::default() })
    }

    /// How far it is: its phase, and what there is to say to that.
    pub(super) async fn look(&mut self) -> Result<(String, String), BackendError> {
        if std::mem::replace(&mut self.looked, true) {
            sleep(LOOK_AGAIN).await;
        }
        loop {
            let offset = self.log.bytes.to_string();
            let look = script(LOOK, "look", &[self.name, &offset]).limit(ONE_LOOK);
            match self.host.transport.run(&look).await {
                Ok(output) => {
                    self.answered = Instant::now();
                    let (phase, more) = split(&output.stdout);
                    self.log.add(more, self.tell);
                    let (phase, why) = phase.split_once(' ').unwrap_or((&phase, ""));
                    if phase == "gone" {
                        return Err(self.gone());
                    }
                    return Ok((phase.to_owned(), why.to_owned()));
                }
                // What is being changed may be the network itself.
                Err(_) if self.answered.elapsed() < self.patience => {
                    let _ = self.host.transport.reconnect().await;
                    sleep(Duration::from_secs(1)).await;
                }
                Err(cause) => return Err(self.lost(&cause)),
            }
        }
    }

    /// The last lines of its log, to be put behind an error.
    pub(super) fn last_words(&self) -> String {
        self.log.last()
    }

    fn gone(&self) -> BackendError {
        let message = format!(
            "{}: what was under way is gone, as after a restart of the machine, which starts what \
             ran before{}",
            self.host.transport.host(),
            self.log.last()
        );
        BackendError::temporary(ErrorKind::Unavailable, "activate", message)
    }

    fn lost(&self, cause: &TransportError) -> BackendError {
        let message = format!(
            "{}: since the change the machine cannot be reached ({cause}); a system that nobody \
             confirms it goes back from by itself",
            self.host.transport.host()
        );
        BackendError::temporary(ErrorKind::Unavailable, "activate", message)
    }
}

/// The first line, and what comes after it.
fn split(told: &[u8]) -> (String, &[u8]) {
    let end = told.iter().position(|byte| *byte == b'\n').unwrap_or(told.len());
    let phase = String::from_utf8_lossy(&told[..end]).trim().to_owned();
    (phase, told.get(end + 1..).unwrap_or_default())
}

/// The log of an activation, as far as it was read.
#[derive(Default)]
struct Log {
    bytes: usize,
    /// A line that has not ended yet.
    rest: Vec<u8>,
    last: VecDeque<String>,
}

impl Log {
    fn add(&mut self, more: &[u8], tell: &(dyn Fn(&str) + Sync)) {
        self.bytes += more.len();
        self.rest.extend_from_slice(more);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            tell(&line);
            if self.last.len() == LAST_LINES {
                self.last.pop_front();
            }
            self.last.push_back(line);
        }
    }

    /// Its last lines, to be put behind an error.
    fn last(&self) -> String {
        let lines: Vec<&str> = self.last.iter().map(String::as_str).collect();
        if lines.is_empty() {
            String::new()
        } else {
            format!("; it said last:\n{}", lines.join("\n"))
        }
    }
}
