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
    caller::{Caller, carried_out, refused},
    error::{is_late, is_there_already},
    job::{DIGEST, Job, MADE_AS, Outputs, by_tags, tag},
    ready::{Absent, ready, seen},
    wait::{Waiting, went},
};
use crate::request::{Request, Service, Tag};

/// How long AWS may take to show what it made.
pub(super) const VISIBLE: Duration = Duration::from_secs(60);

/// How long something may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(600);

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
    /// What people call one: "the instance".
    const NOUN: &'static str;
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
    /// What one has to do that is ready.
    const READY: &'static str = "to be available";

    /// Where to look for why one of an id does not get there, or does not go.
    fn look_at(_id: &str) -> String {
        "look at it in AWS's console".to_owned()
    }

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

    /// What of the deployment's own keeps AWS from making it, and what to do about that; nothing
    /// where it is none of the deployment's own.
    fn in_the_way(
        _job: &Job<'_>,
        _request: &Self::Request,
    ) -> impl Future<Output = Result<Option<String>, BackendError>> + Send {
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
pub(super) fn telling<K: Kind>() -> &'static str {
    super::call::Call::from(K::read(super::call::Query::default())).operation()
}

/// One of an id as people read it: of an Amazon resource name what comes after the kind of thing.
pub(super) fn named<K: Kind>(id: &str) -> String {
    let own = id.rsplit_once(':').and_then(|(_, own)| own.split_once('/'));
    format!("{} {}", K::NOUN, own.map_or(id, |(_, own)| own))
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
            .map_err(|_| went("apply", format!("{id} went while it was being looked at")))?,
        None => {
            if K::ALONE {
                remove_all(job, &all).await?;
                all.clear();
            }
            make(job, request).await?
        }
    };
    if thing.adjust(job, request).await? {
        let id = thing.id();
        thing = ready(job, &id)
            .await?
            .map_err(|_| went("apply", format!("{id} went while it was being changed")))?;
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
    let mut wait = Waiting::new(&job.aws, VISIBLE, carried_out(tagged.operation()));
    loop {
        let token = match K::ONCE {
            Once::Token => Some(job.token(&tagged, used_up)?),
            Once::Name | Once::Looking => None,
        };
        let error = match job.aws.create(tagged.clone(), token).await? {
            Ok(id) => match ready(job, &id).await? {
                Ok(thing) => return Ok(thing),
                // What was made with this token is gone again.
                Err(_) if K::ONCE == Once::Token && used_up < TOKENS => {
                    used_up += 1;
                    continue;
                }
                Err(Absent::NeverShown(error)) => return Err(error),
                Err(Absent::Gone) => {
                    let message = format!("AWS made {id}, and it went meanwhile");
                    return Err(went(tagged.operation(), message));
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
                if let Ok(thing) = ready(job, &thing.id()).await? {
                    return Ok(thing);
                }
            } else if let Some(thing) = K::alike(job, request).await? {
                check(job, std::slice::from_ref(&thing))?;
                return Ok(thing);
            }
            if !wait.go_on(refused(&error)).await {
                if let Some(message) = K::in_the_way(job, request).await? {
                    let operation = tagged.operation();
                    let error = BackendError::permanent(ErrorKind::Conflict, operation, message)
                        .caused_by(error);
                    return Err(error.as_it_was());
                }
                let message = "something that is none of this deployment has its name or its \
                               addresses: remove or rename that, and deploy again";
                let operation = tagged.operation();
                return Err(BackendError::permanent(ErrorKind::Conflict, operation, message)
                    .caused_by(error));
            }
        } else if !is_late(&error) || !wait.go_on(refused(&error)).await {
            return Err(Caller::refused(tagged, error));
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
    let what = ids.iter().map(|id| named::<K>(id)).collect::<Vec<_>>().join(" and ");
    let mut wait = Waiting::new(&job.aws, GONE_WITHIN, format!("{what} to go"));
    while !left.is_empty() {
        for thing in left.iter().filter(|thing| is_standing(*thing)) {
            thing.remove(job).await?;
        }
        left = K::find(&job.aws, vec![Filter::new(K::ID_FILTER, ids.clone())]).await?;
        left.retain(|thing| ids.contains(&thing.id()) && thing.state() != State::Gone);
        let Some(first) = left.first() else { return Ok(()) };
        let how = match left.as_slice() {
            [one] => seen(one),
            all => {
                let each = all.iter().map(|it| format!("{}: {}", it.id(), seen(it)));
                each.collect::<Vec<_>>().join("; ")
            }
        };
        if !wait.go_on(how).await {
            return Err(wait.over(telling::<K>(), &K::look_at(&first.id())));
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
