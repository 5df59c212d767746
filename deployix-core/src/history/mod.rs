//! What was done: one append-only log that is the state, the journal and the lock.

mod error;
mod heads;
mod holder;
mod log;
mod record;
mod story;

pub use error::HistoryError;
pub use heads::{Heads, Open, Run, Standing};
pub use log::History;
pub use record::{Entry, Holder, IntentAction, Record, RunId, StepResult};
pub use story::{Story, Told, ToldStep};
