//! What was done: one append-only log that is the state, the journal and the lock.

mod chance;
mod checkpoint;
mod commit;
mod content;
mod crowd;
mod entry;
mod error;
mod heads;
mod holder;
mod known;
mod log;
mod reach;
mod record;
mod seal;
mod shelf;
mod store;
mod story;
mod undo;

pub use error::HistoryError;
pub use heads::{Heads, Open, Run, Standing};
pub use log::History;
pub use record::{Entry, Holder, IntentAction, Record, RunId, StepResult};
pub use store::{store, store_with};
pub use story::{Story, Told, ToldForgotten, ToldStep};
