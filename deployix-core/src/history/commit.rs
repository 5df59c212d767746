//! [`Queue`]: what waits to be appended, and who appends it.
//!
//! Whatever waits when an entry is written goes into the next one together. A task of its own
//! writes, as long as anything waits: whoever waits may stop doing so at any time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{
    Heads, HistoryError, Record,
    known::{Attempt, Propose},
    log::Inner,
};

/// How much goes into one entry at most.
const TOGETHER: usize = 1024;

/// What waits to be appended.
#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    proposals: Vec<Box<dyn Proposal>>,
    /// Whether somebody is writing and will look for more.
    led: bool,
}

/// What waits to be appended, and whom to tell.
trait Proposal: Propose + Send {
    /// Whether it needs to know what stands.
    fn is_guarded(&self) -> bool;
    /// Whether nobody waits for it any more.
    fn is_given_up(&self) -> bool;
    /// Tells how it ended.
    fn tell(self: Box<Self>, generation: Result<u64, HistoryError>);
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends records, whatever stands.
pub(super) async fn append(inner: &Arc<Inner>, records: Vec<Record>) -> Result<u64, HistoryError> {
    let (reply, told) = oneshot::channel();
    enter(inner, Box::new(Plain { records, reply }));
    told.await.unwrap_or(Err(HistoryError::Stopped))
}

/// Appends what is proposed on what stands.
pub(super) async fn append_with<R: Send + 'static>(
    inner: &Arc<Inner>,
    propose: impl FnMut(&Heads) -> (Vec<Record>, R) + Send + 'static,
) -> Result<(R, u64), HistoryError> {
    let (reply, told) = oneshot::channel();
    enter(inner, Box::new(Guarded { propose, result: None, reply }));
    told.await.unwrap_or(Err(HistoryError::Stopped))
}

fn enter(inner: &Arc<Inner>, proposal: Box<dyn Proposal>) {
    let mut waiting = inner.queue.lock();
    waiting.proposals.push(proposal);
    if !waiting.led {
        // It finds out what waits once this is unlocked.
        tokio::spawn(Leader { inner: Arc::clone(inner), is_done: false }.lead());
        waiting.led = true;
    }
}

/// Whoever writes. Where it is stopped, those who wait are told.
struct Leader {
    inner: Arc<Inner>,
    /// Whether somebody else may lead by now.
    is_done: bool,
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut waiting = self.inner.queue.lock();
        waiting.led = false;
        let left = std::mem::take(&mut waiting.proposals);
        drop(waiting);
        // Those who wait see that nobody will tell them.
        drop(left);
    }
}

impl Leader {
    async fn lead(mut self) {
        while let Some(proposals) = self.next() {
            match self.write(proposals).await {
                Ok(()) => {
                    let turn = self.inner.known.lock().await.settle(&self.inner.shelf).await;
                    if let Some(turn) = turn {
                        tokio::time::sleep(turn).await;
                    }
                }
                Err((proposals, error)) => {
                    for proposal in proposals {
                        proposal.tell(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// What waits; with nothing, somebody else leads from now on.
    fn next(&mut self) -> Option<Vec<Box<dyn Proposal>>> {
        let mut waiting = self.inner.queue.lock();
        waiting.proposals.retain(|proposal| !proposal.is_given_up());
        let count = waiting.proposals.len().min(TOGETHER);
        waiting.led = count > 0;
        self.is_done = !waiting.led;
        (count > 0).then(|| waiting.proposals.drain(..count).collect())
    }

    /// Writes until it is written.
    async fn write(
        &self,
        mut proposals: Vec<Box<dyn Proposal>>,
    ) -> Result<(), (Vec<Box<dyn Proposal>>, HistoryError)> {
        let mut lost = false;
        let generation = loop {
            let guarded = proposals.iter().any(|proposal| proposal.is_guarded());
            let mut known = self.inner.known.lock().await;
            let caught_up = match lost {
                false => Ok(false),
                true => known.catch_up(&self.inner.shelf, true).await,
            };
            let ended = match caught_up {
                Ok(_) => {
                    let each = proposals.iter_mut().map(|proposal| proposal.as_mut() as _);
                    known.append(&self.inner.shelf, guarded, each).await
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(Attempt::Done(generation)) => break generation,
                Ok(Attempt::Stale) => {}
                Ok(Attempt::Lost(pause)) => {
                    lost = true;
                    drop(known);
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err((proposals, error)),
            }
        };
        for proposal in proposals {
            proposal.tell(Ok(generation));
        }
        Ok(())
    }
}

/// Records that are appended whatever stands.
struct Plain {
    records: Vec<Record>,
    reply: oneshot::Sender<Result<u64, HistoryError>>,
}

impl Propose for Plain {
    fn propose(&mut self, _: Option<&Heads>) -> Vec<Record> {
        self.records.clone()
    }
}

impl Proposal for Plain {
    fn is_guarded(&self) -> bool {
        false
    }

    fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn tell(self: Box<Self>, generation: Result<u64, HistoryError>) {
        // Nobody may listen any more.
        let _ = self.reply.send(generation);
    }
}

/// Records that depend on what stands.
struct Guarded<F, R> {
    propose: F,
    /// What came with the newest proposal.
    result: Option<R>,
    reply: oneshot::Sender<Result<(R, u64), HistoryError>>,
}

impl<R: Send, F: FnMut(&Heads) -> (Vec<Record>, R) + Send> Propose for Guarded<F, R> {
    fn propose(&mut self, heads: Option<&Heads>) -> Vec<Record> {
        let Some(heads) = heads else { return Vec::new() };
        let (records, result) = (self.propose)(heads);
        self.result = Some(result);
        records
    }
}

impl<R: Send, F: FnMut(&Heads) -> (Vec<Record>, R) + Send> Proposal for Guarded<F, R> {
    fn is_guarded(&self) -> bool {
        true
    }

    fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn tell(self: Box<Self>, generation: Result<u64, HistoryError>) {
        let told = match (generation, self.result) {
            (Ok(generation), Some(result)) => Ok((result, generation)),
            (Err(error), _) => Err(error),
            (Ok(_), None) => Err(HistoryError::Stopped),
        };
        // Nobody may listen any more.
        let _ = self.reply.send(told);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use object_store::memory::InMemory;
    use tokio::sync::Mutex;

    use super::*;
    use crate::{
        history::{Holder, known::Known, shelf::Shelf},
        name::Name,
    };

    #[tokio::test]
    async fn whoever_is_done_leaves_those_alone_who_come_after() {
        let shelf = Shelf::new(Arc::new(InMemory::new()), &Name::new("shop").unwrap());
        let known = Mutex::new(Known::open(&shelf).await.unwrap());
        let inner = Arc::new(Inner { shelf, known, queue: Queue::default() });
        let mut done = Leader { inner: Arc::clone(&inner), is_done: false };
        assert!(done.next().is_none());
        let note = Record::Note { by: Holder::current(), text: "after".to_owned() };
        let mut after = Box::pin(append(&inner, vec![note]));
        assert!((&mut after).now_or_never().is_none());
        drop(done);
        assert_eq!(after.await.unwrap(), 1);
    }
}
