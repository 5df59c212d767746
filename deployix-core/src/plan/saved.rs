//! Plans as files: written by one, looked at, and carried out by another.

use serde::{Deserialize, Serialize};

use super::Plan;

/// The format of saved plans that this program writes and reads.
const FORMAT: u64 = 1;

/// What tells a saved plan from any other JSON.
const KIND: &str = "deployix-plan";

#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    format: u64,
    plan: &'a Plan,
}

/// What every format of saved plans has.
#[derive(Deserialize)]
struct Head {
    kind: String,
    format: u64,
}

#[derive(Deserialize)]
struct Read {
    plan: Plan,
}

/// Tells why a text is no plan that can be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedPlanError {
    /// It is something else.
    #[error("it is no saved plan")]
    NoPlan,
    /// Another version of this program wrote it.
    #[error("it is of format {format}, and this program reads format {FORMAT} alone: plan anew")]
    Format {
        /// The format that it says.
        format: u64,
    },
    /// It says that it is one, and is not as it was written.
    #[error("it is not as it was written")]
    Damaged(#[source] serde_json::Error),
}

impl Plan {
    /// The plan as JSON text, to be read by [`from_saved`](Self::from_saved).
    ///
    /// It holds no secret's value, but all of the specs that it is about, so it is nobody else's.
    ///
    /// # Errors
    /// Where it cannot be written as JSON, which does not happen to plans that [`plan`](super::plan)
    /// made.
    pub fn to_saved(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(&Written { kind: KIND, format: FORMAT, plan: self })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a plan that was saved.
    ///
    /// # Errors
    /// Where it is no plan, of another format, or not as it was written.
    pub fn from_saved(bytes: &[u8]) -> Result<Self, SavedPlanError> {
        let head: Head = serde_json::from_slice(bytes).map_err(|_| SavedPlanError::NoPlan)?;
        if head.kind != KIND {
            return Err(SavedPlanError::NoPlan);
        }
        if head.format != FORMAT {
            return Err(SavedPlanError::Format { format: head.format });
        }
        let read = serde_json::from_slice(bytes).map_err(SavedPlanError::Damaged);
        read.map(|Read { plan }| plan)
    }
}
