//! What really stands, beside what the history tells.

use deployix_core::{
    backend::{
        Action, Backend, BackendError, ErrorKind, NoFiles, NoSecrets, OwnedSite, Resource, Step,
        StepContext,
    },
    execute::{Observation, observe},
    history::Heads,
    plan::PlannedAction,
};

use crate::support::{Site, Written, deployment, machine, name};

const WRITTEN: [Written<'static>; 2] = [("web", "1", &["db"]), ("db", "1", &[])];

async fn compared(site: &Site) -> (Heads, Vec<String>) {
    let heads = site.heads().await;
    let sites: Vec<OwnedSite> = heads.sites.values().cloned().collect();
    let observation = observe(&site.registry(), &name("test"), sites, &heads).await;
    let (heads, drifts) = observation.compare(&heads);
    (heads, drifts.iter().map(|d| format!("{}: {}", d.resource, d.what.join("; "))).collect())
}

/// Does something behind the history's back.
async fn by_hand(site: &Site, resource: &Resource, action: Action<'_>) {
    let (target, deployment) = (machine(), name("test"));
    let here = deployix_core::backend::Site { target: &target, network: None, location: None };
    let step = Step::new(&deployment, here, resource, action);
    let context = StepContext::new(&NoFiles, &NoSecrets, &|_| {});
    site.backend.inner.apply(&step, &context).await.unwrap();
}

#[tokio::test]
async fn what_stands_as_it_was_made_is_no_drift() {
    let site = Site::new();
    assert!(site.deploy(deployment(&WRITTEN)).await.is_good());
    let (heads, drifts) = compared(&site).await;
    assert_eq!(drifts, [""; 0]);
    assert_eq!(heads, site.heads().await);
}

#[tokio::test]
async fn what_is_gone_or_changed_is_made_again_and_what_nobody_knows_goes() {
    let site = Site::new();
    assert!(site.deploy(deployment(&WRITTEN)).await.is_good());
    let world = site.world().await;
    let heads = site.heads().await;
    let db = heads.resources["memory/functionality/db"].resource.clone();
    let web = heads.resources["memory/functionality/web"].resource.clone();
    by_hand(&site, &db, Action::Remove).await;
    let inputs = [("edited", "yes".into())].into();
    let edited = Resource::new(web.id().clone(), web.owner().clone(), inputs, []);
    by_hand(&site, &edited, Action::Create).await;
    let id = "memory/functionality/strange".parse().unwrap();
    let strange = Resource::new(id, web.owner().clone(), Default::default(), []);
    by_hand(&site, &strange, Action::Create).await;

    let (heads, drifts) = compared(&site).await;
    assert_eq!(
        drifts,
        [
            "memory/functionality/db: it is gone",
            "memory/functionality/web: it is of another version",
            "memory/functionality/strange: the history does not know of it",
        ]
    );
    let plan = site.plan_from(deployment(&WRITTEN), &[], &heads);
    let steps: Vec<_> = plan.steps.iter().map(|s| (s.action, s.id().as_str())).collect();
    assert_eq!(
        steps,
        [
            (PlannedAction::Update, "memory/functionality/db"),
            (PlannedAction::Update, "memory/functionality/web"),
            (PlannedAction::Remove, "memory/functionality/strange"),
        ]
    );
    assert!(site.carry_out(&plan).await.is_good());
    assert_eq!(site.world().await, world);
    assert_eq!(compared(&site).await.1, [""; 0]);
}

#[tokio::test]
async fn data_that_the_history_lost_is_not_thrown_away() {
    let site = Site::new();
    let id = "memory/volume/db".parse().unwrap();
    let owner = deployix_core::backend::Owner::Functionality(name("db"));
    let volume = Resource::new(id, owner, Default::default(), []).holding_data();
    by_hand(&site, &volume, Action::Create).await;
    let observation = observe(
        &site.registry(),
        &name("test"),
        [OwnedSite::from(deployix_core::backend::Site {
            target: &machine(),
            network: None,
            location: None,
        })],
        &Heads::default(),
    )
    .await;
    let (heads, _) = observation.compare(&Heads::default());
    let plan = site.plan_from(deployment(&[]), &[], &heads);
    assert!(plan.steps.iter().all(|step| step.id().as_str() != "memory/volume/db"), "{plan:?}");
    assert!(plan.data_kept.contains("memory/volume/db"));
}

#[test]
fn what_is_said_of_several_targets_is_told_once() {
    let mut observation = Observation::default();
    let mut say = |target: &str, what: &str, behind: String| {
        let error = BackendError::permanent(ErrorKind::Denied, "DescribeVpcs", what.to_owned());
        observation.targets.insert(name(target), Err(error.caused_by(behind)));
    };
    for target in ["one", "two", "three"] {
        say(target, "the credentials have expired", format!("ExpiredToken (request {target})"));
    }
    say("four", "there is no such region", "UnknownRegion".to_owned());
    observation.targets.insert(name("five"), Ok(Vec::new()));
    let found = observation.findings();
    let told: Vec<_> = found.iter().map(|finding| finding.message.as_str()).collect();
    let asked = "cannot be asked what stands there: DescribeVpcs:";
    assert_eq!(
        told,
        [
            format!(
                "targets `one`, `three` and `two` {asked} the credentials have expired: ExpiredToken \
                 (request one)"
            ),
            format!("target `four` {asked} there is no such region: UnknownRegion"),
        ]
    );
    assert!(found.iter().all(|finding| finding.code.as_str() == "target-unseen"));
}
