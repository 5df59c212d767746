//! Two histories of one name on one host: what one of them keeps the other leaves as it is.

#[path = "support/container.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod container;
#[path = "support/deploy.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod deploy;
#[path = "support/host.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod host;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::{collections::BTreeSet, sync::Arc};

use deploy::{Deployer, reaching};
use deployix_backend_nixos::{NixosDeploy, NixosFunctionality, NixosTarget};
use deployix_core::HistoryId;
use deployix_core::execute::Report;
use deployix_core::spec::{Deployment, FunctionalitySpec, Service, ServiceSpec};
use host::{Host, NIXPKGS};
use support::{deployment, functionality, machine};

type Spec = FunctionalitySpec<Arc<dyn Service>>;

fn installed(what: &str) -> Host {
    let host = Host::start(what);
    host.install();
    host
}

fn on(host: &Host, functionalities: impl IntoIterator<Item = Spec>) -> Deployment {
    let mut rack = machine("rack1", &host.destination());
    let settings = NixosTarget { nixpkgs: NIXPKGS.to_owned(), ..NixosTarget::default() };
    rack.extensions.insert(&settings).expect("JSON");
    deployment(functionalities, [rack])
}

fn sleeper(name: &str, version: &str) -> Spec {
    let service = ServiceSpec::builder(["sleep", "infinity"]).env("VERSION", version);
    functionality(name, service.env("PASSWORD", "${secret:db}"))
}

/// The same, deployed as a profile of its own.
fn as_profile(mut functionality: Spec) -> Spec {
    let settings =
        NixosFunctionality { deploy: Some(NixosDeploy::Profile), ..NixosFunctionality::default() };
    functionality.extensions.insert(&settings).expect("JSON");
    functionality
}

/// All by which it shows on a host that something was changed there.
fn traces(host: &Host) -> String {
    host.shell(
        "cd /var/lib/deployix && find . -type f | sort | xargs cat; \
         readlink -f /run/current-system; ls /nix/var/nix/profiles/deployix/*; \
         systemctl show -p Id,MainPID,ExecMainStartTimestamp 'a.service' 'b.service'",
    )
}

/// The histories that records on a host say they are kept by, each once.
fn marks(host: &Host) -> Vec<String> {
    let all = host.shell(
        "cat /var/lib/deployix/system/current/resources/* /var/lib/deployix/profiles/*/*.json \
         2> /dev/null | sed 's/.*\"history\":\"\\([0-9a-f]*\\)\".*/\\1/' | sort -u",
    );
    all.lines().map(str::to_owned).collect()
}

/// That nothing but steps that another history's things are about was tried, and each was refused.
fn is_refused(report: &Report, by: &HistoryId) {
    let told = format!("{report:#?}");
    assert!(!report.is_good() && !report.kept_by.is_empty(), "{told}");
    assert!(report.kept_by.values().all(|it| it == by), "{told}");
    assert!(told.contains(&format!("is kept by another history, {}, and stays", by.short())));
    assert!(told.contains(&format!("deploy --take-over {by}`")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_of_another_history_stays_until_that_is_taken_over() {
    let host = installed("keepers-system");
    let before = host.shell("readlink -f /run/current-system");
    let first = Deployer::new("zalora", reaching(&host)).with_secret("db", "of-the-first");
    let wanted = |version| on(&host, [sleeper("a", version), sleeper("b", "1")]);
    first.deployed(wanted("1")).await;
    let keeper = first.id().await;
    assert_eq!(marks(&host), [keeper.to_string()]);

    let mut second = first.another().with_secret("db", "of-the-second");
    let stands = traces(&host);
    // A change, something new beside it, less, a profile of what is a part, and all gone.
    for wanted in [
        wanted("2"),
        on(&host, [sleeper("c", "1")]),
        on(&host, []),
        on(&host, [as_profile(sleeper("a", "1"))]),
    ] {
        let report = second.deploy(wanted).await;
        is_refused(&report, &keeper);
        assert_eq!(traces(&host), stands);
    }
    second.destroy_found(wanted("1")).await;
    assert_eq!(traces(&host), stands);

    // From a release before there were ids.
    host.shell(
        "sed -i 's/,\"history\":\"[0-9a-f]*\"//' /var/lib/deployix/system/current/resources/*",
    );
    assert_eq!(first.drift("rack1", wanted("1")).await, Vec::<String>::new());
    first.deployed(wanted("2")).await;
    assert_eq!(marks(&host), [keeper.to_string()], "all that it switched is its own");

    second.take_over = Some(keeper);
    second.deployed(wanted("2")).await;
    let heir = second.id().await;
    assert_eq!(marks(&host), [heir.to_string()]);
    host.shell("systemctl is-active a.service b.service");
    let stands = traces(&host);
    is_refused(&first.deploy(wanted("3")).await, &heir);
    is_refused(&first.destroy().await, &heir);
    assert_eq!(traces(&host), stands);

    // It is written down, so nobody has to say it again.
    second.take_over = None;
    let destroyed = second.destroy().await;
    assert!(destroyed.is_good(), "{destroyed:#?}");
    assert_eq!(host.shell("readlink -f /run/current-system"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_another_history_stays_until_that_is_taken_over_and_others_come_beside_it() {
    let host = installed("keepers-profile");
    let shared = |profiles: Vec<Spec>| {
        let mut wanted = on(&host, profiles.into_iter().map(as_profile));
        for target in wanted.infrastructure.targets.values_mut() {
            let (nixpkgs, deploy) = (NIXPKGS.to_owned(), NixosDeploy::Profile);
            let settings = NixosTarget { nixpkgs, deploy, ..NixosTarget::default() };
            target.extensions.insert(&settings).expect("JSON");
        }
        wanted
    };
    let first = Deployer::new("zalora", reaching(&host)).with_secret("db", "of-the-first");
    first.deployed(shared(vec![sleeper("a", "1")])).await;
    let keeper = first.id().await;
    let mut second = first.another().with_secret("db", "of-the-second");
    let stands = traces(&host);
    is_refused(&second.deploy(shared(vec![sleeper("a", "2")])).await, &keeper);
    assert_eq!(traces(&host), stands);

    // A profile stands for itself.
    let report = second.deploy(shared(vec![sleeper("a", "2"), sleeper("b", "1")])).await;
    is_refused(&report, &keeper);
    assert!(deploy::fate(&report, "b").is_good(), "{report:#?}");
    let other = second.id().await;
    let both: BTreeSet<_> = [keeper.to_string(), other.to_string()].into();
    assert_eq!(marks(&host).into_iter().collect::<BTreeSet<_>>(), both);

    second.take_over = Some(keeper);
    second.deployed(shared(vec![sleeper("a", "2"), sleeper("b", "1")])).await;
    assert_eq!(marks(&host), [other.to_string()]);
    let secret = host.shell("cat /var/lib/deployix/secrets/zalora/a/db");
    assert_eq!(secret.trim(), "of-the-second");
    is_refused(&first.destroy().await, &other);
    let destroyed = second.destroy().await;
    assert!(destroyed.is_good(), "{destroyed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_history_left_is_found_and_removed_by_who_takes_it_over() {
    let host = installed("keepers-lost");
    let before = host.shell("readlink -f /run/current-system");
    let lost = Deployer::new("zalora", reaching(&host)).with_secret("db", "s3cr3t");
    let wanted = || on(&host, [sleeper("a", "1"), as_profile(sleeper("b", "1"))]);
    lost.deployed(wanted()).await;
    let mut heir = lost.another();
    heir.take_over = Some(lost.id().await);
    let destroyed = heir.destroy_found(wanted()).await;
    assert!(destroyed.is_good() && destroyed.steps.len() == 3, "{destroyed:#?}");
    assert_eq!(host.shell("readlink -f /run/current-system"), before);
    host.shell("! systemctl cat a.service b.service 2> /dev/null");
    host.shell("! ls /nix/var/nix/profiles/deployix/zalora 2> /dev/null");
    host.shell("! ls /var/lib/deployix/profiles/zalora/*.json 2> /dev/null");
    host.shell("! grep -r s3cr3t /var/lib/deployix");
}
