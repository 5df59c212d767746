//! What was done: one append-only log that is the state, the journal and the lock.

mod heads;
mod record;

pub use heads::{Heads, Open, Run, Standing};
pub use record::{Entry, Holder, IntentAction, Record, RunId, StepResult};
