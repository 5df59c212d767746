//! From connected functionalities to what has to be done: [`compile`] drives the backends, and
//! [`plan`] compares what they give with what stands.

mod anew;
mod carried;
mod chosen;
mod compile;
mod destroy;
mod difference;
mod gone;
mod held;
mod only;
mod order;
mod planned;
mod saved;
mod shared;
mod stale;
mod turn;

pub use anew::compile_anew;
pub use carried::Carried;
pub use compile::{Compiled, compile};
pub use destroy::{destroy, ordered_by};
pub use difference::plan;
pub use only::Only;
pub use planned::{FieldChange, Plan, PlannedAction, PlannedStep};
pub use saved::SavedPlanError;
pub use stale::{HowMoved, Moved, moved_on};
