//! The backend's other half: makes resources real on an engine, and tells what stands there.
//!
//! Everything made carries labels that say what it is of ([`label`]), so that a step finds what
//! stands of its resource whatever happened before, and a lost history can be read back. A step
//! looks first and writes only what differs.
//!
//! * [`engine`]: connections, and what an engine's errors mean;
//! * [`image`], [`network`], [`volume`]: made, or found made;
//! * [`instance`]: the roll-out of an instance, with [`create`] and [`container`] for what is made,
//!   [`names`] for how others find it, [`stand`] for what stands, [`ready`] for when they are, and [`secrets`];
//! * [`observe`](mod@observe): what stands.

mod container;
mod create;
mod engine;
mod image;
mod instance;
mod label;
mod names;
mod network;
mod observe;
mod ready;
mod secrets;
mod stand;
mod volume;

use std::borrow::Cow;

use deployix_core::backend::{
    BackendError, ErrorKind, Observed, Outcome, Scope, Step, StepContext,
};

pub(crate) use engine::Connections;

use crate::naming;

/// Carries out one step.
pub(crate) async fn apply(
    connections: &Connections,
    step: &Step<'_>,
    context: &StepContext<'_>,
) -> Result<Outcome, BackendError> {
    let engine = connections.engine(step.site.target)?;
    engine.builds.sweep_first(&engine, step).await;
    match step.resource.id().as_str().split('/').nth(2) {
        Some("image") => image::apply(&engine, step, context).await?,
        Some("network") => network::apply(&engine, step, context).await?,
        Some("volume") => volume::apply(&engine, step, context).await?,
        Some("instance") => {
            instance::apply(&engine, step, context).await?;
            engine.builds.used(step);
        }
        _ => {
            let message = format!("{} is nothing that Docker knows", step.resource.id());
            return Err(BackendError::permanent(ErrorKind::Invalid, "apply", message).as_it_was());
        }
    }
    // An engine that was away when a build ended is asked again here.
    engine.builds.sweep(&engine).await;
    Ok(Outcome::default())
}

/// Tells what stands of a deployment on a target.
pub(crate) async fn observe(
    connections: &Connections,
    scope: &Scope<'_>,
) -> Result<Vec<Observed>, BackendError> {
    let engine = connections.engine(scope.site.target)?;
    observe::observe(&engine, scope.deployment, &scope.site.target.name).await
}

/// What the engine calls what a step is about: as a setting of it says. What was found and nobody knows
/// of has no settings, and is called by its id.
fn name<'s>(step: &Step<'s>, setting: &str) -> Result<Cow<'s, str>, BackendError> {
    let named = step.inputs.text(setting).map(Cow::Borrowed);
    let by_id = || naming::by_id(step.deployment, &step.site.target.name, step.resource.id());
    named.or_else(|error| by_id().filter(|_| step.inputs.is_empty()).map(Cow::Owned).ok_or(error))
}

/// A program's text without what moves a terminal's cursor or colours: nobody asked for that.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            // A control sequence ends with its first letter (ECMA-48).
            '\u{1b}' if rest.as_str().starts_with('[') => {
                let _ = rest.next();
                let _ = rest.by_ref().find(|char| ('@'..='~').contains(char));
            }
            '\n' | '\t' => out.push(char),
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn colours_and_the_like_are_left_out() {
        let text = "\u{1b}[91mE\u{1b}[0m\u{1b}[91m: no\r\u{7}\n\tsuch\u{1b}[2K \u{1b}(B日本";
        assert_eq!(super::plain(text), "E: no\n\tsuch (B日本");
    }
}
