//! [`Kind`]: what stands on AWS by itself and has tags of its own, and how it is made what it
//! should be.
//!
//! A step never asks what happened before. It looks for everything that has its resource's tags,
//! keeps one that can be made what is wanted, or makes one, changes what differs, and then removes
//! the others. So it may be cut off between any two calls and begin again. Of what holds data it
//! removes none: where there are two, it changes nothing, and people say which is theirs.
//!
//! | after this call | the same step, done again, finds |
//! |---|---|
//! | made | the thing by its tags, or, while AWS does not show it yet, by the client token or the name that it was made with; what has neither is looked for twice |
//! | changed | a thing that is as wanted, with the digest of before |
//! | tagged with its digest | what is wanted, and maybe the version before beside it |
//! | the other removed | what is wanted, alone |

use std::{future::Future, time::Duration};

use deployix_core::backend::{BackendError, ErrorKind};
use tokio::time::sleep;

use super::{
    call::{Described, Filter},
    caller::{Caller, Waiting, too_long},
    error::{is_late, is_there_already},
    job::{DIGEST, Job, MADE_AS, Outputs, by_tags, tag},
};
use crate::request::{Request, Service, Tag};

/// How long AWS may take to show what it made.
const VISIBLE: Duration = Duration::from_secs(60);

/// How long after a first look what has neither token nor name is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(4);

/// How often a token may be used up: by what was made with it and is gone.
const TOKENS: usize = 16;

/// How a repeated creation makes nothing twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Once {
    /// The operation takes a client token.
    Token,
    /// AWS refuses a second one of its name, addresses or meaning.
    Name,
    /// Neither: it is looked for long enough to be seen.
    Looking,
}

/// How something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// As it should.
    Ready,
    /// It gets ready by itself, or so it seems.
    Pending(String),
    /// It was stopped, and has to be started.
    Stopped,
    /// It goes, and does nothing any more.
    Going,
    /// It is gone; AWS shows it for a while.
    Gone,
    /// It will never get ready.
    Failed(String),
}

/// What stands by itself.
pub(super) trait Kind: Described + Clone {
    /// What makes it.
    type Request: Clone + Into<Request> + Send + Sync;

    /// Who takes its tags.
    const SERVICE: Service = Service::Ec2;
    /// How a repeated creation makes nothing twice.
    const ONCE: Once;
    /// Whether the old version has to go before a new one can be made.
    const ALONE: bool = false;
    /// Whether old versions stay until what points to them points elsewhere; that step removes them.
    const LINGERS: bool = false;
    /// Whether data would be lost with it, so that none goes that nobody asked to remove.
    const HOLDS_DATA: bool = false;
    /// How long it may take to get ready.
    const READY_WITHIN: Duration = Duration::from_secs(120);

    fn id(&self) -> String;

    /// Its id, and what people tell it from another one by.
    fn told(&self) -> String {
        self.id()
    }

    fn tags(&self) -> &[Tag];

    /// Puts the engine's own tags into the request.
    fn add_tags(request: &mut Self::Request, tags: &[Tag]);

    /// The tags that were compiled.
    fn compiled_tags(request: &Self::Request) -> Vec<Tag>;

    /// Whether it can be made what is wanted.
    fn fits(&self, job: &Job<'_>, request: &Self::Request) -> bool;

    /// Whether something else is connected to it.
    fn is_used(&self) -> bool {
        false
    }

    fn state(&self) -> State {
        State::Ready
    }

    /// Why it is as it is, where AWS says.
    fn reason(&self) -> Option<&str> {
        None
    }

    fn outputs(&self) -> Outputs;

    /// What can be changed about it by hand, as a short text; nothing where nothing can.
    fn settings(&self) -> String {
        String::new()
    }

    /// All that match.
    fn find(
        aws: &Caller<'_>,
        filters: Vec<Filter>,
    ) -> impl Future<Output = Result<Vec<Self>, BackendError>> + Send {
        aws.all(filters)
    }

    /// What AWS means when it refuses to make a second one.
    fn alike(
        _job: &Job<'_>,
        _request: &Self::Request,
    ) -> impl Future<Output = Result<Option<Self>, BackendError>> + Send {
        async { Ok(None) }
    }

    /// Starts it.
    fn start(&self, _job: &Job<'_>) -> impl Future<Output = Result<(), BackendError>> + Send {
        async { Ok(()) }
    }

    /// Makes equal what can be changed; tells whether anything had to be.
    fn adjust(
        &self,
        _job: &Job<'_>,
        _request: &Self::Request,
    ) -> impl Future<Output = Result<bool, BackendError>> + Send {
        async { Ok(false) }
    }

    /// Takes it away; it may go on going after that.
    fn remove(&self, job: &Job<'_>) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// The operation that tells of such things.
fn telling<K: Kind>() -> &'static str {
    super::call::Call::from(K::read(super::call::Query::default())).operation()
}

/// Refuses to touch what another history keeps.
pub(super) fn check<K: Kind>(job: &Job<'_>, all: &[K]) -> Result<(), BackendError> {
    all.iter().try_for_each(|thing| job.check(telling::<K>(), &thing.id(), thing.tags()))
}

/// Everything of the deployment, or of one of its resources, but for what another history keeps.
pub(super) async fn own<K: Kind>(
    job: &Job<'_>,
    resource: Option<&str>,
) -> Result<Vec<K>, BackendError> {
    let mut all = K::find(&job.aws, by_tags(job.deployment().as_str(), resource)).await?;
    all.retain(|thing| job.may_touch(thing.tags()));
    Ok(all)
}

pub(super) fn is_standing<K: Kind>(thing: &K) -> bool {
    !matches!(thing.state(), State::Going | State::Gone)
}

/// Everything that was made as a resource, the oldest id first.
///
/// # Errors
/// A conflict where another history keeps some of it: then nothing is done.
pub(super) async fn made_as<K: Kind>(
    job: &Job<'_>,
    resource: &str,
) -> Result<Vec<K>, BackendError> {
    let mut all = K::find(&job.aws, by_tags(job.deployment().as_str(), Some(resource))).await?;
    all.retain(|thing| thing.state() != State::Gone);
    check(job, &all).map_err(BackendError::as_it_was)?;
    all.sort_by_key(Kind::id);
    Ok(all)
}

/// Refuses where there are two of what holds data: which of them is wanted, nobody but people know.
pub(super) fn one_at_most<K: Kind>(resource: &str, all: &[K]) -> Result<(), BackendError> {
    let standing: Vec<String> =
        all.iter().filter(|thing| is_standing(*thing)).map(Kind::told).collect();
    if !K::HOLDS_DATA || standing.len() < 2 {
        return Ok(());
    }
    let message = format!(
        "{} are all tagged as {resource}, and each may hold what is needed: remove those that are \
         not, or take their tags off that begin with `deployix:`, and deploy again; none was touched",
        standing.join(" and ")
    );
    Err(BackendError::permanent(ErrorKind::Conflict, telling::<K>(), message))
}

/// Makes a resource what it should be, whatever of it stands.
pub(super) async fn converge<K: Kind>(
    job: &Job<'_>,
    request: &K::Request,
) -> Result<Outputs, BackendError> {
    let mut all: Vec<K> = made_as(job, job.id.as_str()).await?;
    if all.is_empty() && K::ONCE == Once::Looking {
        sleep(LOOK_AGAIN).await;
        all = made_as(job, job.id.as_str()).await?;
    }
    one_at_most(job.id.as_str(), &all)?;
    let fitting = all.iter().filter(|thing| is_standing(*thing) && thing.fits(job, request));
    let is_wanted = |thing: &&K| tag(thing.tags(), DIGEST) == Some(&*job.digest);
    // Of several, the one that others use: taking that away would cut them off.
    let used = || fitting.clone().find(|thing| thing.is_used());
    let kept = used().or_else(|| fitting.clone().find(is_wanted));
    let kept = kept.or_else(|| fitting.clone().next()).map(Kind::id);
    all.retain(|thing| Some(thing.id()) != kept);
    let mut thing: K = match kept {
        Some(id) => ready(job, &id)
            .await?
            .ok_or_else(|| too_long("apply", format!("{id} went while it was being looked at")))?,
        None => {
            if K::ALONE {
                remove_all(job, &all).await?;
                all.clear();
            }
            make(job, request).await?
        }
    };
    if thing.adjust(job, request).await? {
        thing = ready(job, &thing.id()).await?.ok_or_else(|| {
            too_long("apply", format!("{} went while it was being changed", thing.id()))
        })?;
    }
    let settings = thing.settings();
    let made_as = (!settings.is_empty()).then(|| Tag::new(MADE_AS, value(&settings)));
    let wanted = K::compiled_tags(request).into_iter().chain(job.own_tags()).chain(made_as);
    job.tag(K::SERVICE, &thing.id(), thing.tags(), wanted).await?;
    if !K::LINGERS && !K::HOLDS_DATA {
        remove_all(job, &all).await?;
    }
    Ok(thing.outputs())
}

/// Makes one, and waits until it is ready.
async fn make<K: Kind>(job: &Job<'_>, request: &K::Request) -> Result<K, BackendError> {
    let mut tagged = request.clone();
    K::add_tags(&mut tagged, &job.own_tags());
    let tagged: Request = tagged.into();
    let mut used_up = 0;
    let mut wait = Waiting::new(VISIBLE);
    loop {
        let token = match K::ONCE {
            Once::Token => Some(job.token(&tagged, used_up)?),
            Once::Name | Once::Looking => None,
        };
        let error = match job.aws.create(tagged.clone(), token).await? {
            Ok(id) => match ready(job, &id).await? {
                Some(thing) => return Ok(thing),
                // What was made with this token is gone again.
                None if K::ONCE == Once::Token && used_up < TOKENS => {
                    used_up += 1;
                    continue;
                }
                None => {
                    return Err(too_long(
                        tagged.operation(),
                        format!("AWS made {id} and does not show it"),
                    ));
                }
            },
            Err(error) => error,
        };
        if error.code == "IdempotentParameterMismatch" && used_up < TOKENS {
            used_up += 1;
        } else if is_there_already(&error) {
            // Made by a step that was cut off, and not shown yet; or somebody else's.
            let seen: Vec<K> = made_as(job, job.id.as_str()).await?;
            if let Some(thing) = seen.iter().find(|it| is_standing(*it) && it.fits(job, request)) {
                if let Some(thing) = ready(job, &thing.id()).await? {
                    return Ok(thing);
                }
            } else if let Some(thing) = K::alike(job, request).await? {
                check(job, std::slice::from_ref(&thing))?;
                return Ok(thing);
            }
            if !wait.go_on().await {
                let message = "something that is none of this deployment has its name or its \
                               addresses: remove or rename that, and deploy again";
                let operation = tagged.operation();
                return Err(BackendError::permanent(ErrorKind::Conflict, operation, message)
                    .caused_by(error));
            }
        } else if !is_late(&error) || !wait.go_on().await {
            return Err(Caller::refused(tagged, error));
        }
    }
}

/// One thing once it is ready; nothing where it is gone, or never shown.
pub(super) async fn ready<K: Kind>(job: &Job<'_>, id: &str) -> Result<Option<K>, BackendError> {
    let mut visible = Waiting::new(VISIBLE);
    let mut pending = Waiting::new(K::READY_WITHIN);
    let (mut began, mut starts) = (false, false);
    let operation = telling::<K>();
    loop {
        let found = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, [id])]).await?;
        let Some(thing) = found.into_iter().find(|thing| thing.id() == id) else {
            if visible.go_on().await {
                continue;
            }
            return Ok(None);
        };
        let why = match thing.state() {
            State::Ready => return Ok(Some(thing)),
            State::Going | State::Gone if began => {
                let why = thing.reason().unwrap_or("AWS does not say why");
                let message = format!("{id} began and ended again before it was ready: {why}");
                return Err(BackendError::permanent(ErrorKind::Unexpected, operation, message));
            }
            State::Going | State::Gone => return Ok(None),
            State::Failed(why) => {
                let message = format!("{id} does not get ready: {why}");
                return Err(BackendError::permanent(ErrorKind::Unexpected, operation, message));
            }
            State::Stopped if starts => {
                let why = thing.reason().unwrap_or("AWS does not say why");
                let message = format!(
                    "{id} started and stopped again: {why}; its console output tells what it did"
                );
                return Err(BackendError::permanent(ErrorKind::Unexpected, operation, message));
            }
            State::Stopped => {
                thing.start(job).await?;
                "it was stopped".to_owned()
            }
            State::Pending(why) => {
                starts = true;
                why
            }
        };
        began = true;
        if !pending.go_on().await {
            let within = K::READY_WITHIN.as_secs();
            let message = format!("{id} is not ready after {within} seconds: {why}");
            return Err(too_long(operation, message));
        }
    }
}

/// Removes a resource, however much of it stands.
pub(super) async fn remove<K: Kind>(job: &Job<'_>) -> Result<(), BackendError> {
    let all: Vec<K> = made_as(job, job.id.as_str()).await?;
    remove_all(job, &all).await
}

/// Removes things and waits until they are gone. What is not known everywhere yet may be taken for
/// gone where it is to be removed, so whatever is still shown is removed again.
pub(super) async fn remove_all<K: Kind>(job: &Job<'_>, all: &[K]) -> Result<(), BackendError> {
    let ids: Vec<String> = all.iter().map(Kind::id).collect();
    let mut left = all.to_vec();
    let mut wait = Waiting::new(Duration::from_secs(600));
    while !left.is_empty() {
        for thing in left.iter().filter(|thing| is_standing(*thing)) {
            thing.remove(job).await?;
        }
        left = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, ids.clone())]).await?;
        left.retain(|thing| ids.contains(&thing.id()) && thing.state() != State::Gone);
        if !left.is_empty() && !wait.go_on().await {
            let ids: Vec<String> = left.iter().map(Kind::id).collect();
            return Err(too_long("remove", format!("{} does not go", ids.join(", "))));
        }
    }
    Ok(())
}

/// A text as the value of a tag: at most 256 characters, of those that every service takes.
pub(super) fn value(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " +-=._:/@".contains(c);
    let text: String = text.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    if text.len() <= 256 {
        return text;
    }
    format!("digest {}", deployix_core::Digest::of_bytes(text.as_bytes()))
}
