//! [`Caller`]: a client for one region that tries again and asks for every page.

use std::{collections::BTreeMap, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use deployix_core::backend::{Awaited, BackendError, ErrorKind, StepContext};
use tokio::time::{Instant, sleep};

use super::{
    call::{Answer, Aws, Call, CallError, Described, Filter, Query, Read, Write},
    error::{
        is_in_use, is_late, is_not_found, is_passing, is_throttled, is_unknown_profile, meaning,
    },
    shape::Object,
    wait::Waiting,
};
use crate::request::{Attribute, InstanceId, Request, Tag};

/// How often a call is tried again, with waits from a quarter of a second to 8 seconds, about half a
/// minute in all.
const TRIES: usize = 8;

/// Elastic Load Balancing tells the tags of so many things at once (API Reference, `DescribeTags`).
const TAGGED_AT_ONCE: usize = 20;

/// How long what was just made may not be known everywhere.
const LATE: Duration = Duration::from_secs(60);

/// How long what uses something may take to go.
const IN_USE: Duration = Duration::from_secs(180);

/// Calls in one region.
#[derive(Debug, Clone)]
pub(super) struct Caller<'a> {
    aws: &'a dyn Aws,
    region: Option<String>,
    /// The step that calls, where one does.
    context: Option<StepContext<'a>>,
}

/// Something whose tags another call tells.
pub(super) trait TaggedApart {
    fn arn(&self) -> &str;
    fn tags_mut(&mut self) -> &mut Vec<Tag>;
}

impl<'a> Caller<'a> {
    pub(super) fn new(aws: &'a dyn Aws, region: Option<String>) -> Self {
        Self { aws, region, context: None }
    }

    /// The same for a step, which tells what it waits for.
    pub(super) fn of_step(self, context: &StepContext<'a>) -> Self {
        Self { context: Some(*context), ..self }
    }

    /// Tells what is waited for.
    pub(super) fn waits(&self, wait: &Awaited) {
        if let Some(context) = &self.context {
            context.waits(wait);
        }
    }

    /// Carries a call out; again where nothing was done because AWS was asked too often or not
    /// reached, and where it may have done something, if twice is the same as once.
    pub(super) async fn call(&self, call: &Call) -> Result<Answer, CallError> {
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(8))
            .with_max_times(TRIES)
            .with_jitter()
            .build();
        let began = Instant::now();
        loop {
            let error = match self.aws.call(self.region.as_deref(), call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let harmless = !error.maybe_done || call.is_repeatable();
            let again = is_throttled(&error) || (is_passing(&error) && harmless);
            let Some(wait) = waits.next().filter(|_| again) else { return Err(error) };
            let waited = began.elapsed();
            self.waits(&Awaited {
                what: carried_out(call.operation()),
                seen: refused(&error),
                waited,
            });
            sleep(wait).await;
        }
    }

    async fn read(&self, read: Read) -> Result<Answer, BackendError> {
        let call = Call::from(read);
        self.call(&call).await.map_err(|error| meaning(&call, error))
    }

    /// What is told of something; nothing where it is not there.
    async fn read_if_there(&self, read: Read) -> Result<Option<Answer>, BackendError> {
        let call = Call::from(read);
        match self.call(&call).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(meaning(&call, error)),
        }
    }

    /// Everything that matches, page by page, however many values a filter has. What is not there is
    /// none. Where AWS refuses to tell of several things because one of them is not there, each is asked
    /// for.
    pub(super) async fn all<T: Described>(
        &self,
        filters: Vec<Filter>,
    ) -> Result<Vec<T>, BackendError> {
        let is_long = |filter: &Filter| filter.values.len() > Filter::VALUES;
        let Some(at) = filters.iter().position(is_long) else {
            return self.all_while(filters, &|_| true).await;
        };
        let mut all = Vec::new();
        for some in filters[at].values.chunks(Filter::VALUES) {
            all.extend(Box::pin(self.all(narrowed(&filters, at, some))).await?);
        }
        Ok(all)
    }

    /// The same up to the first one that is of no interest, where AWS tells them in an order.
    pub(super) async fn all_while<T: Described>(
        &self,
        filters: Vec<Filter>,
        goes_on: &(dyn Fn(&T) -> bool + Send + Sync),
    ) -> Result<Vec<T>, BackendError> {
        let mut all = Vec::new();
        let mut next_token = None;
        loop {
            let call = Call::from(T::read(Query { filters: filters.clone(), next_token }));
            let answer = match self.call(&call).await {
                Err(error) if is_not_found(&error) => {
                    let Some(at) = filters.iter().position(|filter| filter.values.len() > 1) else {
                        return Ok(all);
                    };
                    let mut all = Vec::new();
                    for one in filters[at].values.chunks(1) {
                        let filters = narrowed(&filters, at, one);
                        all.extend(Box::pin(self.all_while(filters, goes_on)).await?);
                    }
                    return Ok(all);
                }
                other => other.map_err(|error| meaning(&call, error))?,
            };
            let page = T::page(answer).ok_or_else(|| unexpected(call.operation()))?;
            for item in page.items {
                if !goes_on(&item) {
                    return Ok(all);
                }
                all.push(item);
            }
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(all);
            }
        }
    }

    /// All things of a kind of which another call tells the tags, with their tags.
    pub(super) async fn with_tags<T: Described + TaggedApart>(
        &self,
        filters: Vec<Filter>,
    ) -> Result<Vec<T>, BackendError> {
        let mut all: Vec<T> = self.all(filters).await?;
        let mut tags: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
        for some in all.chunks(TAGGED_AT_ONCE) {
            let resource_arns = some.iter().map(|thing| thing.arn().to_owned()).collect();
            if let Some(some) = self.tags_of(resource_arns).await? {
                tags.extend(some);
                continue;
            }
            // One of them went meanwhile; so those of the others are asked for one by one.
            for thing in some {
                let one = self.tags_of(vec![thing.arn().to_owned()]).await?;
                tags.extend(one.into_iter().flatten());
            }
        }
        for thing in &mut all {
            let own = tags.remove(thing.arn()).unwrap_or_default();
            *thing.tags_mut() = own;
        }
        Ok(all)
    }

    /// The tags of things of Elastic Load Balancing; nothing where one of them is not there.
    async fn tags_of(
        &self,
        resource_arns: Vec<String>,
    ) -> Result<Option<Vec<(String, Vec<Tag>)>>, BackendError> {
        match self.read_if_there(Read::DescribeTags { resource_arns }).await? {
            Some(Answer::Tags(tags)) => Ok(Some(tags)),
            Some(_) => Err(unexpected("DescribeTags")),
            None => Ok(None),
        }
    }

    /// Key and value of each attribute that a read tells of.
    pub(super) async fn attributes(&self, read: Read) -> Result<Vec<Attribute>, BackendError> {
        let operation = read.operation();
        match self.read(read).await? {
            Answer::Attributes(attributes) => Ok(attributes),
            _ => Err(unexpected(operation)),
        }
    }

    /// Whether a machine is protected from being ended; nothing where it is gone.
    pub(super) async fn is_protected(
        &self,
        instance_id: InstanceId,
    ) -> Result<Option<bool>, BackendError> {
        match self.read_if_there(Read::DescribeInstanceAttribute { instance_id }).await? {
            Some(Answer::Attributes(all)) => {
                let value = all.iter().find(|it| it.key == Attribute::PROTECTED);
                Ok(value.map(|it| it.value == "true"))
            }
            Some(_) => Err(unexpected("DescribeInstanceAttribute")),
            None => Ok(None),
        }
    }

    /// The tags of an object; nothing where it is gone.
    pub(super) async fn object_tags(
        &self,
        object: &Object,
    ) -> Result<Option<Vec<Tag>>, BackendError> {
        let (bucket, key) = (object.bucket.clone(), object.key.clone());
        self.tags_if_there(Read::GetObjectTagging { bucket, key }).await
    }

    /// The state of an autoscaling group's newest refresh.
    pub(super) async fn refresh(
        &self,
        auto_scaling_group_name: String,
    ) -> Result<Option<String>, BackendError> {
        match self.read(Read::DescribeInstanceRefreshes { auto_scaling_group_name }).await? {
            Answer::State(state) => Ok(state),
            _ => Err(unexpected("DescribeInstanceRefreshes")),
        }
    }

    /// The state of a change of records; nothing while Route 53 does not know of it.
    pub(super) async fn change(&self, id: String) -> Result<Option<String>, BackendError> {
        match self.read_if_there(Read::GetChange { id }).await? {
            Some(Answer::State(state)) => Ok(state),
            Some(_) => Err(unexpected("GetChange")),
            None => Ok(None),
        }
    }

    /// The tags of a parameter; nothing where it is gone, or not known everywhere yet.
    pub(super) async fn tags_of_parameter(
        &self,
        name: &str,
    ) -> Result<Option<Vec<Tag>>, BackendError> {
        self.tags_if_there(Read::ListTagsForResource { resource_id: name.to_owned() }).await
    }

    /// The tags of the one thing that a read is about.
    async fn tags_if_there(&self, read: Read) -> Result<Option<Vec<Tag>>, BackendError> {
        let operation = read.operation();
        match self.read_if_there(read).await? {
            Some(Answer::Tags(all)) => {
                Ok(Some(all.into_iter().flat_map(|(_, tags)| tags).collect()))
            }
            Some(_) => Err(unexpected(operation)),
            None => Ok(None),
        }
    }

    /// Makes something; the id of what was made. What AWS says on its own account comes back as it
    /// is, for whoever knows whether that is an error.
    pub(super) async fn create(
        &self,
        request: Request,
        client_token: Option<String>,
    ) -> Result<Result<String, CallError>, BackendError> {
        let call = Call::Create { request: Box::new(request), client_token };
        match self.call(&call).await {
            Ok(Answer::Made(id)) => Ok(Ok(id)),
            Ok(_) => Ok(Ok(String::new())),
            Err(error) if is_passing(&error) => Err(meaning(&call, error)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Asks whether AWS would make something, as far as it tells; what is late or in use now is no
    /// reason against it, but for an instance profile that stays unknown.
    ///
    /// # Errors
    /// Why AWS would refuse it. Nothing was done.
    pub(super) async fn would_make(&self, request: Request) -> Result<(), BackendError> {
        let call = Call::dry_run(request);
        let mut wait = Waiting::new(self, LATE, carried_out(call.operation()));
        loop {
            match self.call(&call).await {
                Ok(_) => return Ok(()),
                Err(error) if error.code == CallError::WOULD_BE_DONE => return Ok(()),
                Err(error) if is_unknown_profile(&error) && wait.go_on(refused(&error)).await => {}
                Err(error) if is_late(&error) && !is_unknown_profile(&error) => return Ok(()),
                Err(error) => return Err(meaning(&call, error).as_it_was()),
            }
        }
    }

    /// Changes something. What was just made may not be known everywhere yet, so it is waited for
    /// (Amazon EC2 Developer Guide, "Eventual consistency").
    pub(super) async fn write(&self, write: Write) -> Result<(), BackendError> {
        let call = Call::from(write);
        let mut wait = Waiting::new(self, LATE, carried_out(call.operation()));
        loop {
            match self.call(&call).await {
                Ok(_) => return Ok(()),
                Err(error) if is_late(&error) && wait.go_on(refused(&error)).await => {}
                Err(error) => return Err(meaning(&call, error)),
            }
        }
    }

    /// Removes something; what is gone already is gone. What still uses it may be on its way out,
    /// so it is waited for.
    pub(super) async fn remove(&self, write: Write) -> Result<(), BackendError> {
        let call = Call::from(write);
        let mut wait = Waiting::new(self, IN_USE, carried_out(call.operation()));
        loop {
            match self.call(&call).await {
                Ok(_) => return Ok(()),
                Err(error) if is_not_found(&error) => return Ok(()),
                Err(error) if is_in_use(&error) && wait.go_on(refused(&error)).await => {}
                Err(error) => return Err(meaning(&call, error)),
            }
        }
    }

    /// Asks for something that has to be looked at again afterwards, whatever comes of it: where it
    /// is under way already, or not possible yet, AWS refuses.
    pub(super) async fn ask(&self, write: Write) -> Result<(), BackendError> {
        let call = Call::from(write);
        match self.call(&call).await {
            Ok(_) => Ok(()),
            Err(error) if is_in_use(&error) || is_not_found(&error) => Ok(()),
            Err(error) => Err(meaning(&call, error)),
        }
    }

    /// What the error of a creation means.
    pub(super) fn refused(request: Request, error: CallError) -> BackendError {
        meaning(&Call::Create { request: Box::new(request), client_token: None }, error)
    }
}

/// What is waited for by whoever calls again.
pub(super) fn carried_out(operation: &str) -> String {
    format!("AWS to carry out {operation}")
}

/// How a call is seen that AWS did not carry out.
pub(super) fn refused(error: &CallError) -> String {
    format!("it does not for now: {error}")
}

/// The filters, with some of the values of one of them.
fn narrowed(filters: &[Filter], at: usize, values: &[String]) -> Vec<Filter> {
    let mut filters = filters.to_vec();
    filters[at].values = values.to_vec();
    filters
}

/// An answer to another question.
fn unexpected(operation: &'static str) -> BackendError {
    let message = "the client gave an answer to another question; this is an error in Deployix";
    BackendError::permanent(ErrorKind::Unexpected, operation, message)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::{
        engine::{call::Page, shape::Vpc},
        request::VpcId,
    };

    const GONE: &str = "vpc-00000000000000001";
    const THERE: &str = "vpc-00000000000000002";

    fn vpc(id: &str) -> Vpc {
        Vpc {
            vpc_id: VpcId::new(id).unwrap(),
            cidr_block: "10.0.0.0/16".parse().unwrap(),
            state: "available".to_owned(),
            tags: Vec::new(),
        }
    }

    /// Refuses to tell of anything where one thing that was named is not there.
    #[derive(Debug)]
    struct OneIsGone;

    #[async_trait]
    impl Aws for OneIsGone {
        async fn call(&self, _: Option<&str>, call: &Call) -> Result<Answer, CallError> {
            let Call::Read(Read::DescribeVpcs(query)) = call else { panic!("{call:?}") };
            if query.filters[0].values.iter().any(|id| id == GONE) {
                return Err(CallError::refused("InvalidVpcID.NotFound", GONE));
            }
            Ok(Answer::Vpc(Page { items: vec![vpc(THERE)], next_token: None }))
        }
    }

    #[tokio::test]
    async fn what_is_there_is_told_though_something_beside_it_is_not() {
        let caller = Caller::new(&OneIsGone, None);
        let named = |ids: &[&str]| vec![Filter::new("vpc-id", ids.iter().copied())];
        let both: Vec<Vpc> = caller.all(named(&[GONE, THERE])).await.unwrap();
        assert_eq!(both.iter().map(|vpc| vpc.vpc_id.as_str()).collect::<Vec<_>>(), [THERE]);
        assert_eq!(caller.all::<Vpc>(named(&[GONE])).await.unwrap(), []);
    }

    /// Tells of every VPC that is named, of at most so many as a filter has values.
    #[derive(Debug)]
    struct Many;

    #[async_trait]
    impl Aws for Many {
        async fn call(&self, _: Option<&str>, call: &Call) -> Result<Answer, CallError> {
            let Call::Read(Read::DescribeVpcs(query)) = call else { panic!("{call:?}") };
            let ids = &query.filters[0].values;
            assert!(ids.len() <= Filter::VALUES, "{}", ids.len());
            let items = ids.iter().map(|id| vpc(id)).collect();
            Ok(Answer::Vpc(Page { items, next_token: None }))
        }
    }

    #[tokio::test]
    async fn whoever_names_more_than_a_filter_takes_is_told_of_all_in_several_calls() {
        let ids: Vec<_> = (0..250).map(|number| format!("vpc-{number:017x}")).collect();
        let caller = Caller::new(&Many, None);
        let all: Vec<Vpc> = caller.all(vec![Filter::new("vpc-id", ids.clone())]).await.unwrap();
        assert_eq!(all.iter().map(|vpc| vpc.vpc_id.as_str()).collect::<Vec<_>>(), ids);
    }
}
