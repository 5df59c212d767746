//! [`Reach`]: who was never reached is not tried for long.
//!
//! Where a connection breaks that was there, it is worth minutes of patience; where there never was one,
//! an address, a proxy or this machine's network is wrong, and whoever deploys is told soon.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::call::{Answer, Aws, Call, CallError};

/// How long it is tried to reach a region for the first time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client before another one.
#[derive(Debug)]
pub(crate) struct Reach {
    aws: Arc<dyn Aws>,
    regions: Mutex<BTreeMap<Option<String>, Region>>,
}

#[derive(Debug, Clone, Copy)]
enum Region {
    Reached,
    /// Since when it is tried, and when it was last.
    Tried {
        first: Instant,
        last: Instant,
    },
}

impl Reach {
    pub(crate) fn new(aws: Arc<dyn Aws>) -> Self {
        Self { aws, regions: Mutex::default() }
    }

    /// Notes whether a region was reached just now; whether there is no use in trying on.
    fn is_hopeless(&self, region: Option<&str>, reached: bool) -> bool {
        // Every change is one insertion, so a panic elsewhere leaves the map whole.
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, now) = (regions.get(&region.map(str::to_owned)).copied(), Instant::now());
        let is = match known {
            Some(Region::Reached) => return false,
            _ if reached => Region::Reached,
            Some(Region::Tried { first, last }) if now.duration_since(last) <= PATIENCE => {
                Region::Tried { first, last: now }
            }
            _ => Region::Tried { first: now, last: now },
        };
        regions.insert(region.map(str::to_owned), is);
        matches!(is, Region::Tried { first, .. } if now.duration_since(first) >= PATIENCE)
    }
}

#[async_trait]
impl Aws for Reach {
    async fn call(&self, region: Option<&str>, call: &Call) -> Result<Answer, CallError> {
        let answer = self.aws.call(region, call).await;
        let unreached = answer.as_ref().err().filter(|it| it.code == CallError::NO_CONNECTION);
        if self.is_hopeless(region, unreached.is_none())
            && let Some(error) = unreached
        {
            return Err(CallError { code: CallError::UNREACHED.to_owned(), ..error.clone() });
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use deployix_core::backend::{ErrorKind, ErrorStatus};

    use super::*;
    use crate::{
        engine::{
            call::{Page, Read},
            caller::Caller,
            shape::Vpc,
        },
        request::VpcId,
    };

    /// Answers as long as nobody takes it away.
    #[derive(Debug, Default)]
    struct Away(AtomicBool);

    #[async_trait]
    impl Aws for Away {
        async fn call(&self, _: Option<&str>, call: &Call) -> Result<Answer, CallError> {
            let Call::Read(Read::DescribeVpcs(_)) = call else { panic!("{call:?}") };
            if self.0.load(Ordering::Relaxed) {
                return Err(CallError::refused(CallError::NO_CONNECTION, "connection refused"));
            }
            let vpc = Vpc {
                vpc_id: VpcId::new("vpc-00000000000000001").unwrap(),
                cidr_block: "10.0.0.0/16".parse().unwrap(),
                state: "available".to_owned(),
                tags: Vec::new(),
            };
            Ok(Answer::Vpc(Page { items: vec![vpc], next_token: None }))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_never_reached_is_given_up_soon_and_who_was_is_tried_for_longer() {
        let away = Arc::new(Away(AtomicBool::new(true)));
        let reach = Reach::new(away.clone());
        let caller = Caller::new(&reach, Some("us-east-1".to_owned()));
        let begun = Instant::now();
        let error = caller.all::<Vpc>(Vec::new()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.status()),
            (ErrorKind::Unavailable, ErrorStatus::Permanent)
        );
        assert!(error.to_string().contains("AWS_ENDPOINT_URL"), "{error}");
        let took = begun.elapsed();
        assert!((PATIENCE..PATIENCE * 2).contains(&took), "{took:?}");

        // Whoever comes later is as patient as the first.
        tokio::time::sleep(PATIENCE * 2).await;
        let begun = Instant::now();
        caller.all::<Vpc>(Vec::new()).await.unwrap_err();
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());

        away.0.store(false, Ordering::Relaxed);
        assert_eq!(caller.all::<Vpc>(Vec::new()).await.unwrap().len(), 1);
        away.0.store(true, Ordering::Relaxed);
        let error = caller.all::<Vpc>(Vec::new()).await.unwrap_err();
        assert_eq!(error.status(), ErrorStatus::Temporary);
    }
}
