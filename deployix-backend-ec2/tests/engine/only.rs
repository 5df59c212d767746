//! Plans about some functionalities alone: their machines come along, and those of others do not.

use std::{collections::BTreeSet, num::NonZeroU32};

use deployix_core::{
    backend::Owner,
    diagnostic::Staged,
    execute::Fate,
    plan::{Only, Plan, destroy, plan},
    spec::{Deployment, FunctionalitySpec, ServiceSpec},
};

use crate::{
    deploy::keeper,
    scenario::location,
    site::{Site, beyond, ends, hydra},
    support::{With, deployment, name},
    upcast::upcast,
};

impl Site {
    async fn plan_only(&self, deployment: Deployment, names: &[&str]) -> Plan {
        let heads = self.heads().await;
        let compiled = self.compiled(deployment, &heads);
        let Staged { value: only, diagnostics } =
            Only::named(names.iter().map(|it| name(it)), &compiled, &heads);
        assert!(diagnostics.is_empty(), "{diagnostics}");
        plan(&compiled, &heads, &self.registry(), &only)
    }

    async fn deploy_only(&self, deployment: Deployment, names: &[&str]) -> Vec<String> {
        let plan = self.plan_only(deployment, names).await;
        let report = self.carry_out(&plan).await;
        assert!(report.is_good(), "{}", ends(&report));
        touched(&plan)
    }

    /// A plan to remove some alone, and what is told.
    async fn plan_to_remove_only(&self, names: &[&str], data: bool) -> (Plan, String) {
        let heads = self.heads().await;
        let Staged { value: only, diagnostics } =
            Only::standing(names.iter().map(|it| name(it)), &heads);
        assert!(diagnostics.is_empty(), "{diagnostics}");
        let Staged { value: plan, diagnostics } = destroy(&self.name, &heads, &only, data);
        (plan, diagnostics.to_string())
    }

    fn machines(&self) -> Vec<String> {
        let all = self.aws.inventory().into_iter();
        all.filter(|line| line.contains("instance running")).collect()
    }
}

fn touched(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{} {}", step.action.as_str(), step.id())).collect()
}

fn has(steps: &[String], step: &str) -> bool {
    steps.iter().any(|it| it == step)
}

/// A functionality in one of its versions.
fn version(text: &str, port: u16, version: &str) -> FunctionalitySpec<ServiceSpec> {
    let service = ServiceSpec::builder([text]).endpoint("main", port).env("VERSION", version);
    let spec = FunctionalitySpec::new(text, service.build().unwrap()).unwrap();
    spec.fqdn(&format!("{text}.example.com")).unwrap()
}

/// Two on one machine, and one on another which the first of them reaches.
fn shop(web: &str, beside: &str, db: &str) -> Deployment {
    let web = version("web", 8080, web).upstream("db.example.com").unwrap();
    deployment(vec![web, version("beside", 9000, beside), version("db", 5432, db)])
        .machine("one", Some("n"))
        .machine("two", Some("n"))
        .placed("web", "one")
        .placed("beside", "one")
        .placed("db", "two")
        .located("n", &location())
}

/// One on each machine of a pool, behind a load balancer.
fn pool(count: u32, of: &str) -> Deployment {
    let web = version("web", 8080, of).replicas(NonZeroU32::new(count).unwrap());
    deployment(vec![web])
        .pool("front", count, "n")
        .placed("web", "front")
        .located("n", &location())
        .balancer("balancer", "web.example.com", (80, 8080), &["0.0.0.0/0"])
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_of_one_functionality_makes_its_machine_and_no_other() {
    let site = Site::new(&upcast(), 80);
    site.deploy_only(upcast(), &["solr"]).await;
    let machines = site.machines();
    assert!(machines.len() == 1 && machines[0].contains("target/solr/"), "{machines:?}");
    assert!(site.heads().await.assignments.contains_key(&name("solr")));
    assert_eq!(site.plan_only(upcast(), &["solr"]).await.steps.len(), 0);

    site.deploy(upcast()).await;
    let fresh = Site::new(&upcast(), 81);
    fresh.deploy(upcast()).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_one_functionality_is_deployed_with_its_machine_alone() {
    let site = Site::new(&shop("1", "1", "1"), 82);
    site.deploy(shop("1", "1", "1")).await;
    let steps = site.deploy_only(shop("1", "1", "2"), &["db"]).await;
    assert!(has(&steps, "replace ec2/target/two/machine/0/instance"), "{steps:?}");
    assert!(steps.iter().all(|step| !step.contains("/one/")), "{steps:?}");
    assert_eq!(touched(&site.plan(shop("1", "1", "2")).await), [""; 0]);

    let steps = site.deploy_only(shop("2", "1", "3"), &["web"]).await;
    assert!(has(&steps, "replace ec2/target/one/machine/0/instance"), "{steps:?}");
    assert!(steps.iter().all(|step| !step.contains("/two/")), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn what_shares_a_machine_comes_along_as_a_whole() {
    let moved = |web: &str, port: u16| {
        let mut moved = shop(web, "1", "1");
        let all = vec![
            version("web", 8080, web).upstream("db.example.com").unwrap(),
            version("beside", port, "1").upstream("db.example.com").unwrap(),
            version("db", 5432, "1"),
        ];
        moved.catalogs = deployment(all).catalogs;
        moved
    };
    let site = Site::new(&shop("1", "1", "1"), 83);
    site.deploy(shop("1", "1", "1")).await;
    // Its new upstream is opened to it, as its new version is started.
    let steps = site.deploy_only(moved("2", 9001), &["web"]).await;
    assert!(steps.iter().any(|step| step.contains("beside")), "{steps:?}");
    assert_eq!(touched(&site.plan(moved("2", 9001)).await), [""; 0]);

    let first = Site::new(&shop("1", "1", "1"), 84);
    first.deploy_only(shop("1", "1", "1"), &["web"]).await;
    let machines = first.machines();
    assert!(machines.len() == 1 && machines[0].contains("target/one/"), "{machines:?}");
    let assigned: Vec<_> = first.heads().await.assignments.into_keys().collect();
    assert_eq!(assigned, [name("beside"), name("web")]);
}

#[tokio::test(start_paused = true)]
async fn places_behind_a_load_balancer_follow_machines_that_are_new_made_anew_or_gone() {
    let site = Site::new(&pool(2, "1"), 85);
    site.deploy(pool(2, "1")).await;
    let is_left = async |count, of: &str| {
        assert_eq!(touched(&site.plan(pool(count, of)).await), [""; 0]);
        let fresh = Site::new(&pool(count, of), 86);
        fresh.deploy(pool(count, of)).await;
        assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
    };
    for (count, of) in [(2, "2"), (3, "2"), (1, "3")] {
        site.deploy_only(pool(count, of), &["web"]).await;
        is_left(count, of).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_makes_no_load_balancer_that_nobody_named() {
    let site = Site::new(&pool(1, "1"), 87);
    let steps = site.deploy_only(pool(1, "1"), &["web"]).await;
    assert!(has(&steps, "create ec2/target/front/machine/0/instance"), "{steps:?}");
    assert!(steps.iter().all(|step| !step.contains("load-balancer")), "{steps:?}");
    site.deploy(pool(1, "1")).await;
    assert_eq!(touched(&site.plan(pool(1, "1")).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_functionality_that_moves_leaves_its_machine_and_takes_another() {
    let moved = || shop("1", "1", "1").placed("web", "two");
    let site = Site::new(&moved(), 88);
    site.deploy(shop("1", "1", "1")).await;
    site.deploy_only(moved(), &["web"]).await;
    assert_eq!(touched(&site.plan(moved()).await), [""; 0]);
    // Nothing of it is where it was, so that the target there can be given up.
    let heads = site.heads().await;
    let own = heads.resources.values().filter(|it| it.resource.owner().to_string() == "web");
    let targets: BTreeSet<&str> = own.map(|standing| standing.target.as_str()).collect();
    assert_eq!(targets, ["two"].into());
    let fresh = Site::new(&moved(), 89);
    fresh.deploy(moved()).await;
    assert_eq!(beyond(&site.aws.inventory(), &fresh.aws.inventory()), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_runs_alone_goes_with_its_machine_and_leaves_its_data() {
    let site = Site::new(&keeper(), 90);
    site.deploy(keeper()).await;
    let (plan, told) = site.plan_to_remove_only(&["db"], false).await;
    assert_eq!(told, "");
    let report = site.carry_out(&plan).await;
    assert!(report.is_good(), "{}", ends(&report));
    assert_eq!(site.machines(), [""; 0]);
    let left = site.aws.inventory();
    let is_left = |what: &str| left.iter().any(|line| line.contains(what));
    assert!(is_left(" volume available ") && is_left(" vpc "), "{left:#?}");
    assert!(!is_left("functionality/db") && !is_left("interface"), "{left:#?}");
    assert!(plan.data_kept.iter().any(|id| id.as_str().ends_with("/volume")));
    assert!(!site.heads().await.assignments.contains_key(&name("db")));
}

#[tokio::test(start_paused = true)]
async fn what_others_need_or_run_beside_stays_as_a_whole_and_it_is_told_what_to_do() {
    let site = Site::new(&shop("1", "1", "1"), 91);
    site.deploy(shop("1", "1", "1")).await;
    let (plan, told) = site.plan_to_remove_only(&["web"], false).await;
    assert_eq!(touched(&plan), [""; 0]);
    let wanted = "`web` cannot go alone: a machine of target `one` runs it beside `beside`";
    assert!(told.contains(wanted), "{told}");
    assert!(
        told.contains("take `web` out of the deployment's file and `deploy --only web`"),
        "{told}"
    );

    let (plan, told) = site.plan_to_remove_only(&["db"], false).await;
    assert_eq!(touched(&plan), [""; 0]);
    assert!(told.contains("`db` is needed by `web`, which is to stay"), "{told}");
    // One machine runs both, so neither goes without the other.
    assert!(told.contains("destroy `beside` and `web` as well, or first"), "{told}");

    // As it is told.
    for names in [["web", "beside"].as_slice(), &["db"]] {
        let (plan, told) = site.plan_to_remove_only(names, false).await;
        assert_eq!(told, "");
        let report = site.carry_out(&plan).await;
        assert!(report.is_good(), "{}", ends(&report));
    }
    assert_eq!(site.machines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn of_what_runs_together_that_alone_is_needed_which_others_reach() {
    let together = || shop("1", "1", "1").placed("beside", "two");
    let site = Site::new(&together(), 94);
    site.deploy(together()).await;
    let (plan, told) = site.plan_to_remove_only(&["db", "beside"], false).await;
    assert_eq!(touched(&plan), [""; 0]);
    assert!(told.contains("`db` is needed by `web`"), "{told}");
    assert!(!told.contains("`beside` is needed"), "{told}");
    let wanted = "`beside` cannot go alone: a machine of target `two` runs it beside `db`";
    assert!(told.contains(wanted), "{told}");
}

#[tokio::test(start_paused = true)]
async fn what_others_need_is_prepared_and_not_called_deployed() {
    let site = Site::new(&shop("1", "1", "1"), 95);
    let plan = site.plan_only(shop("1", "1", "1"), &["web"]).await;
    let report = site.carry_out(&plan).await;
    let fate = |text: &str| &report.fates[&Owner::Functionality(name(text))];
    assert_eq!((fate("web"), fate("beside")), (&Fate::Deployed, &Fate::Deployed));
    assert_eq!(fate("db"), &Fate::Prepared);
    assert_eq!(site.machines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_described_no_more_can_be_named_while_it_stands() {
    let site = Site::new(&shop("1", "1", "1"), 96);
    site.deploy(shop("1", "1", "1")).await;
    let without = || {
        let mut deployment = shop("1", "1", "1");
        for catalog in &mut deployment.catalogs {
            catalog.functionalities.retain(|it| *it.name() != name("beside"));
        }
        deployment.place.remove(&name("beside"));
        deployment
    };
    let steps = site.deploy_only(without(), &["beside"]).await;
    assert!(has(&steps, "replace ec2/target/one/machine/0/instance"), "{steps:?}");
    assert!(has(&steps, "remove ec2/functionality/beside/security-group/network/n"), "{steps:?}");
    assert_eq!(touched(&site.plan(without()).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_what_is_beside_others_goes_while_the_rest_does() {
    let site = Site::new(&hydra(), 92);
    site.deploy(hydra()).await;
    let (plan, told) = site.plan_to_remove_only(&["hydra-web"], false).await;
    assert_eq!(touched(&plan), [""; 0]);
    assert!(told.contains("`hydra-web` cannot go alone"), "{told}");

    let site = Site::new(&shop("1", "1", "1"), 93);
    site.deploy(shop("1", "1", "1")).await;
    let (plan, told) = site.plan_to_remove_only(&["web", "db"], false).await;
    assert_eq!(touched(&plan), [""; 0]);
    assert!(told.contains("`web` cannot go alone") && told.contains("`db` is needed by"), "{told}");
}
