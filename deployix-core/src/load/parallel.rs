//! Several things at once, in the order in which they are given.

use std::{num::NonZeroUsize, panic, thread};

/// Does something with each item, on as many threads as there are processors.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = items.len().div_ceil(workers).max(1);
    let work = &work;
    thread::scope(|scope| {
        let mut shares = items.chunks(share);
        let own = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| scope.spawn(move || share.iter().map(work).collect::<Vec<_>>()))
            .collect();
        let mut done: Vec<_> = own.iter().map(work).collect();
        for other in others {
            match other.join() {
                Ok(share) => done.extend(share),
                Err(payload) => panic::resume_unwind(payload),
            }
        }
        done
    })
}
