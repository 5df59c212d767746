//! From one deployment to another, with somebody who dies on the way.

use deployix_core::spec::Deployment;
use tokio::time::{Duration, sleep};

use crate::{
    site::{Site, beyond, ends},
    strict::Death,
};

/// Somebody dies at some call that writes on the way from one deployment to another, and somebody
/// else goes on, or back.
pub(crate) struct Way<F, T> {
    from: F,
    to: T,
    /// How many calls write before the way begins, and on it.
    begins: u64,
    pub(crate) takes: u64,
    /// What stands at its end.
    there: Vec<String>,
    /// What stands at its beginning.
    here: Vec<String>,
}

impl<F: Fn() -> Deployment, T: Fn() -> Deployment> Way<F, T> {
    pub(crate) async fn new(from: F, to: T) -> Self {
        let whole = Self::stands(from()).await;
        let (begins, here) = (whole.aws.write_calls(), whole.aws.inventory());
        whole.deploy(to()).await;
        let (takes, there) = (whole.aws.write_calls() - begins, whole.aws.inventory());
        Self { from, to, begins, takes, there, here }
    }

    async fn stands(deployment: Deployment) -> Site {
        let site = Site::new(&deployment, 101);
        site.deploy(deployment).await;
        site
    }

    /// A site where somebody died, before the call or after it.
    async fn died(&self, at: u64, death: Death) -> Site {
        let site = Self::stands((self.from)()).await;
        site.aws.mood(|mood| mood.dies_at = Some((self.begins + at, death)));
        let plan = site.plan((self.to)()).await;
        site.carry_out_and_die(&plan).await;
        // Whoever comes next looks once what AWS made is shown.
        sleep(Duration::from_secs(10)).await;
        site.settle().await;
        site
    }

    pub(crate) async fn goes_on(&self, at: u64, death: Death) {
        let (site, told) = (self.died(at, death).await, format!("cut off at {at}, {death:?}"));
        let report = site.carry_out(&site.plan((self.to)()).await).await;
        assert!(report.is_good(), "{told}: {}", ends(&report));
        Self::ends(&site, (self.to)(), &self.there, &told).await;
    }

    pub(crate) async fn goes_back(&self, at: u64, death: Death) {
        let site = self.died(at, death).await;
        let told = format!("cut off at {at}, {death:?}, and back");
        let plan = site.plan((self.from)()).await;
        let report = site.carry_out(&plan).await;
        assert!(report.is_good(), "{told}: {}", ends(&report));
        // What the history does not know to be left over is found by looking.
        let (plan, _) = site.plan_refreshed((self.from)()).await;
        let report = site.carry_out(&plan).await;
        assert!(report.is_good(), "{told}: {}", ends(&report));
        Self::ends(&site, (self.from)(), &self.here, &told).await;
    }

    async fn ends(site: &Site, deployment: Deployment, stands: &[String], told: &str) {
        // Machines of groups leave their load balancer by themselves.
        sleep(Duration::from_secs(600)).await;
        assert_eq!(beyond(&site.aws.inventory(), stands), [""; 0], "{told}");
        let heads = site.heads().await;
        assert!(heads.open.is_empty() && heads.runs.is_empty(), "{told}");
        let (plan, drifts) = site.plan_refreshed(deployment).await;
        assert_eq!((plan.steps.len(), drifts), (0, Vec::new()), "{told}");
    }
}
