//! [`Gather`]: reads that are asked for at the same time go out as one call.
//!
//! Steps that run side by side look at things of the same kinds, and wait for them side by side. What
//! they ask differs in the values of one filter alone: an id, or the resource that something was made as.
//! So whoever asks first waits a moment, asks for all that others asked for meanwhile, and gives
//! everybody their part. What AWS refuses for one of them is asked for by each alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::oneshot, time::sleep};

use super::{
    call::{Answer, Aws, Call, CallError, Described, Filter, Page, Query, Read},
    error::is_not_found,
    shape::{
        Address, AutoScalingGroup, Instance, InternetGateway, LaunchTemplate, NetworkInterface,
        RouteTable, SecurityGroup, SecurityGroupRule, Subnet, Volume, Vpc,
    },
};
use crate::request::Tag;

/// How long others may join a call. Far less than a call takes, and enough for steps that an answer
/// before set going at once.
const MOMENT: Duration = Duration::from_millis(25);

/// A client before another one.
pub(crate) struct Gather {
    aws: Arc<dyn Aws>,
    waiting: Mutex<BTreeMap<Question, Vec<Asker>>>,
}

/// What those have in common who can ask together: the region, the operation, the filters but for the
/// values of the last, and the name of that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    region: Option<String>,
    operation: &'static str,
    filters: Vec<(String, Vec<String>)>,
    by: String,
}

/// Somebody who waits for what others ask for as well.
struct Asker {
    values: Vec<String>,
    answer: oneshot::Sender<Result<Answer, CallError>>,
}

/// What the values of a filter are about.
trait Filtered: Described + Clone {
    /// Whether the filter lets it through; nothing where the filter is none of those that are gathered.
    fn passes(&self, filter: &str, values: &[String]) -> Option<bool>;
}

macro_rules! filtered {
    ($($type:ident by $($filter:literal => |$it:ident| $value:expr),*;)*) => {
        $(impl Filtered for $type {
            fn passes(&self, filter: &str, values: &[String]) -> Option<bool> {
                if let Some(key) = filter.strip_prefix("tag:") {
                    return Some(has_tag(&self.tags, key, values));
                }
                match filter {
                    $($filter => {
                        let $it = self;
                        let mut has = $value.into_iter().map(ToString::to_string);
                        Some(has.any(|value| values.contains(&value)))
                    })*
                    _ => None,
                }
            }
        })*

        /// Whether a read by a filter can be asked for together with others.
        fn is_gathered(read: &Read, filter: &str) -> bool {
            match read {
                $(read if read.operation() == operation::<$type>() => {
                    filter.starts_with("tag:") || [$($filter),*].contains(&filter)
                })*
                _ => false,
            }
        }

        /// The part of what was told that some values are about.
        fn part(told: &Answer, filter: &str, values: &[String]) -> Answer {
            match told {
                $(Answer::$type(page) => {
                    let passes = |it: &&$type| it.passes(filter, values).unwrap_or_default();
                    let items = page.items.iter().filter(passes).cloned().collect();
                    Answer::$type(Page { items, next_token: None })
                })*
                other => other.clone(),
            }
        }

        /// Adds another page to what was told; the token of the next.
        fn append(told: &mut Option<Answer>, more: Answer) -> Option<String> {
            match (told.as_mut(), more) {
                $((Some(Answer::$type(page)), Answer::$type(more)) => {
                    page.items.extend(more.items);
                    more.next_token
                })*
                (_, more) => {
                    let next_token = match &more {
                        $(Answer::$type(page) => page.next_token.clone(),)*
                        _ => None,
                    };
                    *told = Some(more);
                    next_token
                }
            }
        }
    };
}

filtered! {
    Vpc by "vpc-id" => |it| [&it.vpc_id];
    Subnet by "subnet-id" => |it| [&it.subnet_id];
    InternetGateway by "internet-gateway-id" => |it| [&it.internet_gateway_id];
    RouteTable by
        "route-table-id" => |it| [&it.route_table_id],
        "association.subnet-id" => |it| it.associations.iter().map(|one| &one.subnet_id);
    SecurityGroup by "group-id" => |it| [&it.group_id];
    SecurityGroupRule by
        "security-group-rule-id" => |it| [&it.security_group_rule_id],
        "group-id" => |it| [&it.group_id];
    NetworkInterface by "network-interface-id" => |it| [&it.network_interface_id];
    Address by "allocation-id" => |it| [&it.allocation_id];
    Volume by "volume-id" => |it| [&it.volume_id];
    LaunchTemplate by "launch-template-id" => |it| [&it.launch_template_id];
    Instance by "instance-id" => |it| [&it.instance_id];
    AutoScalingGroup by "auto-scaling-group-name" => |it| [&it.auto_scaling_group_name];
}

fn operation<T: Described>() -> &'static str {
    T::read(Query::default()).operation()
}

fn has_tag(tags: &[Tag], key: &str, values: &[String]) -> bool {
    tags.iter().any(|tag| tag.key == key && values.contains(&tag.value))
}

impl Gather {
    pub(crate) fn new(aws: Arc<dyn Aws>) -> Self {
        Self { aws, waiting: Mutex::default() }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Question, Vec<Asker>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins those who ask the same; tells whether there were none before.
    fn join(
        &self,
        question: &Question,
        values: Vec<String>,
    ) -> (bool, oneshot::Receiver<Result<Answer, CallError>>) {
        let (answer, told) = oneshot::channel();
        let mut waiting = self.waiting();
        let askers = waiting.entry(question.clone()).or_default();
        let is_first = askers.is_empty();
        askers.push(Asker { values, answer });
        (is_first, told)
    }

    /// Asks for all who joined, and tells each its part.
    async fn ask(&self, question: &Question, read: &Read) {
        let Some(askers) = self.waiting().remove(question) else { return };
        let mut some: Vec<Asker> = Vec::new();
        let mut values = BTreeSet::new();
        for asker in askers {
            if !some.is_empty() && values.len() + asker.values.len() > Filter::VALUES {
                self.ask_for(
                    question,
                    read,
                    std::mem::take(&mut values),
                    std::mem::take(&mut some),
                )
                .await;
            }
            values.extend(asker.values.iter().cloned());
            some.push(asker);
        }
        self.ask_for(question, read, values, some).await;
    }

    async fn ask_for(
        &self,
        question: &Question,
        read: &Read,
        values: BTreeSet<String>,
        askers: Vec<Asker>,
    ) {
        let told = self.all(question, read, values.into_iter().collect()).await;
        for asker in askers {
            let answer = match &told {
                Ok(told) => Ok(part(told, &question.by, &asker.values)),
                // It may be about somebody else's.
                Err(error) if is_not_found(error) => {
                    self.all(question, read, asker.values.clone()).await
                }
                Err(error) => Err(error.clone()),
            };
            // Nobody waits for it any more: so be it.
            let _ = asker.answer.send(answer);
        }
    }

    /// Every page of what some values are about, as one.
    async fn all(
        &self,
        question: &Question,
        read: &Read,
        values: Vec<String>,
    ) -> Result<Answer, CallError> {
        let others = question.filters.iter().map(|(name, values)| Filter::new(name, values));
        let filters: Vec<_> = others.chain([Filter::new(&question.by, values)]).collect();
        let mut told = None;
        let mut next_token = None;
        loop {
            let Some(read) = read.with(Query { filters: filters.clone(), next_token }) else {
                return Err(CallError::unreadable("a read that has no filters was gathered"));
            };
            let more = self.aws.call(question.region.as_deref(), &read.into()).await?;
            next_token = append(&mut told, more);
            if next_token.is_none() {
                return told.ok_or_else(|| CallError::unreadable("there is no page"));
            }
        }
    }
}

#[async_trait]
impl Aws for Gather {
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError> {
        let Some((question, read, values)) = question(region, call) else {
            return self.aws.call(region, call).await;
        };
        loop {
            let (is_first, told) = self.join(&question, values.clone());
            if is_first {
                let mut lead = Lead { gather: self, question: Some(&question) };
                sleep(MOMENT).await;
                lead.question = None;
                self.ask(&question, read).await;
            }
            // Whoever was to ask for all was given up meanwhile, where nobody tells.
            if let Ok(answer) = told.await {
                return answer;
            }
        }
    }
}

/// Whoever waits a moment for others. Where it is given up meanwhile, they wait no more.
struct Lead<'g> {
    gather: &'g Gather,
    question: Option<&'g Question>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if let Some(question) = self.question {
            self.gather.waiting().remove(question);
        }
    }
}

impl fmt::Debug for Gather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gather").field(&self.aws).finish()
    }
}

/// What a call has in common with others, and the values that it asks about; nothing for a call that
/// goes out alone.
fn question<'c>(region: Option<&str>, call: &'c Call) -> Option<(Question, &'c Read, Vec<String>)> {
    let Call::Read(read) = call else { return None };
    let query = read.query()?;
    let (last, others) = query.filters.split_last()?;
    let alone = query.next_token.is_some()
        || last.values.iter().any(|value| value.contains(['*', '?']))
        || !is_gathered(read, &last.name);
    if alone {
        return None;
    }
    let question = Question {
        region: region.map(str::to_owned),
        operation: read.operation(),
        filters: others.iter().map(|it| (it.name.clone(), it.values.clone())).collect(),
        by: last.name.clone(),
    };
    Some((question, read, last.values.clone()))
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};

    use super::*;
    use crate::request::VpcId;

    /// Tells of VPCs by their ids, writes down what it was asked, and says of one number that it is not
    /// there.
    #[derive(Debug, Default)]
    struct Account {
        asked: Mutex<Vec<Vec<String>>>,
        refuses: Option<&'static str>,
    }

    fn id(number: u32) -> String {
        format!("vpc-{number:08x}")
    }

    #[async_trait]
    impl Aws for Account {
        async fn call(&self, _: Option<&str>, call: &Call) -> Result<Answer, CallError> {
            sleep(Duration::from_millis(100)).await;
            let Call::Read(Read::DescribeVpcs(query)) = call else { panic!("{call:?}") };
            let ids = &query.filters[0].values;
            // In pages of 40.
            let from: usize = query.next_token.as_deref().map_or(0, |it| it.parse().unwrap());
            if from == 0 {
                self.asked.lock().unwrap().push(ids.clone());
            }
            if let Some(code) = self.refuses.filter(|_| ids.contains(&id(3))) {
                return Err(CallError::refused(code, ""));
            }
            let vpc = |id: &String| Vpc {
                vpc_id: VpcId::new(id).unwrap(),
                cidr_block: "10.0.0.0/16".parse().unwrap(),
                state: "available".to_owned(),
                tags: Vec::new(),
            };
            let items = ids.iter().skip(from).take(40).map(vpc).collect();
            let next_token = (ids.len() > from + 40).then(|| (from + 40).to_string());
            Ok(Answer::Vpc(Page { items, next_token }))
        }
    }

    fn by_id(number: u32) -> Call {
        let filters = vec![Filter::new("vpc-id", [id(number)])];
        Read::DescribeVpcs(Query { filters, next_token: None }).into()
    }

    async fn ask(gather: &Gather, number: u32) -> Result<Vec<String>, CallError> {
        match gather.call(Some("eu-west-1"), &by_id(number)).await? {
            Answer::Vpc(page) => Ok(page.items.iter().map(|it| it.vpc_id.to_string()).collect()),
            other => panic!("{other:?}"),
        }
    }

    fn gather(refuses: Option<&'static str>) -> (Arc<Account>, Gather) {
        let account = Arc::new(Account { refuses, ..Account::default() });
        (account.clone(), Gather::new(account))
    }

    fn sizes(account: &Account) -> Vec<usize> {
        account.asked.lock().unwrap().iter().map(Vec::len).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_at_once_is_one_call_and_everybody_gets_their_part() {
        let (account, gather) = gather(None);
        let told = join_all((0..90).map(|number| ask(&gather, number))).await;
        for (number, told) in (0..).zip(told) {
            assert_eq!(told.unwrap(), [id(number)]);
        }
        assert_eq!(sizes(&account), [90]);
        ask(&gather, 1).await.unwrap();
        assert_eq!(sizes(&account), [90, 1], "later is another call");
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_asks_for_more_than_aws_takes() {
        let (account, gather) = gather(None);
        let told = join_all((0..250).map(|number| ask(&gather, number))).await;
        assert!(told.iter().all(|told| told.as_ref().unwrap().len() == 1));
        assert_eq!(sizes(&account), [100, 100, 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn other_regions_and_other_filters_are_other_calls() {
        let (account, gather) = gather(None);
        let (here, there) = (by_id(1), by_id(2));
        let both = join(gather.call(Some("eu-west-1"), &here), gather.call(None, &there)).await;
        assert!(both.0.is_ok() && both.1.is_ok());
        assert_eq!(sizes(&account), [1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_not_there_does_not_hurt_the_others() {
        let (_, gather) = gather(Some("InvalidVpcID.NotFound"));
        let told = join_all((0..9).map(|number| ask(&gather, number))).await;
        for (number, told) in (0..).zip(told) {
            match told {
                Ok(told) => assert_eq!(told, [id(number)]),
                Err(error) => assert_eq!((number, &*error.code), (3, "InvalidVpcID.NotFound")),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_aws_refuses_to_all_is_told_to_all() {
        let (account, gather) = gather(Some("RequestLimitExceeded"));
        let told = join_all((0..9).map(|number| ask(&gather, number))).await;
        assert!(told.iter().all(|told| told.as_ref().unwrap_err().code == "RequestLimitExceeded"));
        assert_eq!(sizes(&account), [9]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_somebody_who_gives_up_asks_again() {
        for patience in [10, 60] {
            let (_, gather) = gather(None);
            let first = tokio::time::timeout(Duration::from_millis(patience), ask(&gather, 1));
            let (first, second) = join(first, ask(&gather, 2)).await;
            assert!(first.is_err());
            assert_eq!(second.unwrap(), [id(2)], "given up after {patience} ms");
        }
    }
}
