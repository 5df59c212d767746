//! [`ready`]: waits until one thing is as it should be, or tells why it is not.

use deployix_core::backend::{BackendError, ErrorKind};

use super::{
    call::Filter,
    job::Job,
    kind::{Kind, State, VISIBLE, named, telling},
    wait::Waiting,
};

/// Why there is nothing to get ready.
#[derive(Debug)]
pub(super) enum Absent {
    /// It is gone, or on its way out.
    Gone,
    /// AWS did not show it, for as long as that may take.
    NeverShown(BackendError),
}

/// How something was seen, with AWS's own reason.
pub(super) fn seen<K: Kind>(thing: &K) -> String {
    let how = match thing.state() {
        State::Ready => "it is still there".to_owned(),
        State::Pending(why) | State::Failed(why) => why,
        State::Stopped => "it is stopped".to_owned(),
        State::Going => "it is on its way out".to_owned(),
        State::Gone => "it is gone".to_owned(),
    };
    match thing.reason() {
        Some(reason) => format!("{how}: {reason}"),
        None => how,
    }
}

/// One thing once it is ready, or why there is none.
///
/// # Errors
/// Where it will not get ready, or not in its time.
pub(super) async fn ready<K: Kind>(
    job: &Job<'_>,
    id: &str,
) -> Result<Result<K, Absent>, BackendError> {
    let name = named::<K>(id);
    let mut visible = Waiting::new(&job.aws, VISIBLE, format!("{name} to be shown"));
    let mut pending = Waiting::new(&job.aws, K::READY_WITHIN, format!("{name} {}", K::READY));
    let (mut began, mut starts) = (false, false);
    let operation = telling::<K>();
    let hopeless = |message| BackendError::permanent(ErrorKind::Unexpected, operation, message);
    loop {
        let found = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, [id])]).await?;
        let Some(thing) = found.into_iter().find(|thing| thing.id() == id) else {
            if visible.go_on("AWS does not show it").await {
                continue;
            }
            return Ok(Err(Absent::NeverShown(visible.over(operation, &K::look_at(id)))));
        };
        let why = || thing.reason().unwrap_or("AWS does not say why");
        match thing.state() {
            State::Ready => return Ok(Ok(thing)),
            State::Going | State::Gone if began => {
                let why = why();
                return Err(hopeless(format!(
                    "{id} began and ended again before it was ready: {why}"
                )));
            }
            State::Going | State::Gone => return Ok(Err(Absent::Gone)),
            State::Failed(_) => {
                return Err(hopeless(format!("{id} does not get ready: {}", seen(&thing))));
            }
            State::Stopped if starts => {
                let (why, look_at) = (why(), K::look_at(id));
                return Err(hopeless(format!("{id} started and stopped again: {why}; {look_at}")));
            }
            State::Stopped => thing.start(job).await?,
            State::Pending(_) => starts = true,
        }
        began = true;
        if !pending.go_on(seen(&thing)).await {
            return Err(pending.over(operation, &K::look_at(id)));
        }
    }
}
