//! Executing: a plan is carried out step by step, and each step is written down before and after.
//!
//! [`apply`] walks the plan's graph with bounded concurrency. A failed step stops only what needs
//! it; the [`Report`] tells the truth about each functionality. [`settle`] finds out how steps of
//! runs that died ended, [`observe`] what really stands, [`permissions`] whether a plan may be
//! carried out, and [`forget`] says that what stood somewhere is nobody's any more.

mod apply;
mod event;
mod forget;
mod graph;
mod lock;
mod observe;
mod pace;
mod permissions;
mod report;
mod run;
mod settle;
mod step;
mod work;

pub use apply::{ApplyOptions, EventSender, Interrupt, apply};
pub use event::{Event, Fate, Held, StepEnd, Waiting};
pub use forget::{Forgettable, Forgot, forget};
pub use observe::{Drift, Observation, observe};
pub use permissions::permissions;
pub use report::Report;
pub use settle::{Settled, settle};
