//! A proxy in front of moto that counts calls, and answers as it is told to: throttled, failing,
//! not at all, or with the connection cut before or after the call was carried out.

#[path = "../support/random.rs"]
mod random;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use random::next;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
    time::sleep,
};

use crate::{
    aws::Aws,
    wire::{Answer, Request},
};

/// How it answers apart from what it is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mood {
    /// Of so many calls in a hundred something goes wrong, which ones is the seed's to say.
    pub(crate) faults: u64,
    pub(crate) seed: u64,
    /// Operations that are refused, `any` for all, and with which code and message.
    pub(crate) refuses: BTreeMap<String, (String, String)>,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Throttled,
    Fails { after: bool },
    Hangs { after: bool },
    Cut { after: bool },
}

/// Longer than the client of these tests waits.
const HANG: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    calls: u64,
    writes: Vec<String>,
    /// How often each operation was asked for.
    asked: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
}

/// The proxy, for one account.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    listens: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

impl Proxy {
    pub(crate) async fn new(aws: Arc<Aws>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let listens = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared), Arc::clone(&aws)));
            }
        });
        Self { address, state, listens: listens.abort_handle() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn mood(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.lock().mood);
    }

    /// Requests that came in so far.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The operations that were asked to write something since this was last asked.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().writes)
    }

    /// How often what went wrong.
    pub(crate) fn faults(&self) -> BTreeMap<String, u64> {
        self.lock().faults.clone()
    }
}

impl State {
    /// Whether a call is refused, and which fault comes over it.
    fn meet(&mut self, request: &Request) -> (Option<Answer>, Option<Fault>) {
        self.calls += 1;
        let action = request.action.clone();
        if request.writes() {
            self.writes.push(action.clone());
        }
        let refuses = &self.mood.refuses;
        if let Some((code, message)) = refuses.get(&action).or(refuses.get("any")) {
            let status = if code.contains("Unauthorized") { 403 } else { 400 };
            return (Some(Answer::error(&request.service, status, code, message)), None);
        }
        let nth = self.asked.entry(action.clone()).or_default();
        *nth += 1;
        let mut random = self.mood.seed ^ (*nth << 32);
        action.bytes().for_each(|byte| random = next(&mut random) ^ u64::from(byte));
        let (roll, which) = (next(&mut random) % 100, next(&mut random) % 10);
        if roll >= self.mood.faults {
            return (None, None);
        }
        let fault = match which {
            0..4 => Fault::Throttled,
            4 => Fault::Fails { after: false },
            5 => Fault::Fails { after: true },
            6 => Fault::Hangs { after: roll % 2 == 0 },
            7 => Fault::Cut { after: false },
            _ => Fault::Cut { after: true },
        };
        *self.faults.entry(format!("{fault:?}")).or_default() += 1;
        (None, Some(fault))
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>, aws: Arc<Aws>) {
    let Ok(Some(request)) = Request::read(&mut stream).await else { return };
    let (refusal, fault) = state.lock().unwrap().meet(&request);
    let failed = || Answer::error(&request.service, 500, "InternalError", "An error has occurred");
    let answer = match (refusal, fault) {
        (Some(refusal), _) => refusal,
        (None, None) => aws.carry_out(&request).await,
        (None, Some(Fault::Throttled)) => match request.service.as_str() {
            "ec2" => Answer::error("ec2", 503, "RequestLimitExceeded", "Request limit exceeded."),
            other => Answer::error(other, 400, "Throttling", "Rate exceeded"),
        },
        (None, Some(Fault::Fails { after } | Fault::Hangs { after } | Fault::Cut { after })) => {
            if after {
                aws.carry_out(&request).await;
            }
            match fault {
                Some(Fault::Fails { .. }) => failed(),
                Some(Fault::Hangs { .. }) => return sleep(HANG).await,
                _ => return,
            }
        }
    };
    // Who hung up meanwhile asks again.
    let _ = answer.write(&mut stream).await;
}
