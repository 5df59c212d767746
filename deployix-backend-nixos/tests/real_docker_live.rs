//! Systems made real on hosts, over SSH, by the real Nix and the real systemd.

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

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use deploy::{Deployer, fate, reaching};
use deployix_backend_nixos::{Build, NixosDeploy, NixosFunctionality, NixosTarget};
use deployix_core::backend::Owner;
use deployix_core::execute::Fate;
use deployix_core::plan::Only;
use deployix_core::spec::{
    Deployment, FunctionalitySpec, Service, ServiceBuilder, ServiceSpec, Target,
};
use deployix_transport::{Command, Output, Ssh, Transport, TransportError};
use host::{Host, NIXPKGS, witness};
use support::{deployment, functionality, machine};

/// A host that runs a system of its own, as after an installation of NixOS.
fn installed(what: &str) -> Host {
    let host = Host::start(what);
    host.install();
    host
}

fn with_nixpkgs(mut deployment: Deployment) -> Deployment {
    for target in deployment.infrastructure.targets.values_mut() {
        let confirm_within = NonZeroU16::new(5).expect("not 0");
        let nixpkgs = NIXPKGS.to_owned();
        let settings = NixosTarget { nixpkgs, confirm_within, ..NixosTarget::default() };
        target.extensions.insert(&settings).expect("JSON");
    }
    deployment
}

fn rack(name: &str, host: &Host) -> Target {
    machine(name, &host.destination())
}

fn on(
    targets: impl IntoIterator<Item = Target>,
    functionalities: impl IntoIterator<Item = FunctionalitySpec<Arc<dyn Service>>>,
) -> Deployment {
    with_nixpkgs(deployment(functionalities, targets))
}

fn sleeper() -> ServiceBuilder {
    ServiceSpec::builder(["sleep", "infinity"])
}

fn pid(host: &Host, unit: &str) -> String {
    host.shell(&format!("systemctl show -p MainPID,ExecMainStartTimestamp {unit}"))
}

fn system_of(host: &Host) -> String {
    host.shell("readlink -f /run/current-system").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_restarts_what_changed_and_nothing_else_and_destroying_leaves_what_was_before() {
    let host = installed("live");
    let before = system_of(&host);
    let deployer = Deployer::new("zalora", reaching(&host)).with_secret("db", "s3cr3t");
    let wanted = |version| {
        let web = witness("witness-3000", 3000, version).env("PASSWORD", "${secret:db}");
        let all = [functionality("web", web), functionality("other", sleeper())];
        on([rack("rack1", &host)], all)
    };
    deployer.deployed(wanted("1")).await;
    assert_eq!(host.shell("curl --silent http://127.0.0.1:3000/"), "ok");
    assert_eq!(
        host.shell("stat -c %a-%U /var/lib/deployix/secrets/zalora/web/db").trim(),
        "400-root"
    );
    host.shell("! grep -r s3cr3t /nix/store /var/lib/deployix/system /run/deployix-switch");
    host.shell("! journalctl --no-pager | grep s3cr3t");
    assert!(!deployer.told().contains("s3cr3t"));

    let again = deployer.plan(wanted("1"), &Only::All).await;
    assert!(again.steps.is_empty(), "{again:#?}");

    let (web, other) = (pid(&host, "web.service"), pid(&host, "other.service"));
    deployer.deployed(wanted("2")).await;
    assert_ne!(pid(&host, "web.service"), web);
    assert_eq!(pid(&host, "other.service"), other);
    // It is what the machine starts with from now on.
    assert_eq!(host.shell("cat /boot/default-system").trim(), system_of(&host));

    // What is gone is stopped, with its secrets.
    deployer.deployed(on([rack("rack1", &host)], [functionality("other", sleeper())])).await;
    host.shell("! systemctl is-active --quiet web.service");
    host.shell("! test -e /var/lib/deployix/secrets/zalora/web && test -d /var/lib/witness-3000");
    assert_eq!(pid(&host, "other.service"), other);

    let destroyed = deployer.destroy().await;
    assert!(destroyed.is_good(), "{destroyed:#?}");
    assert_eq!(system_of(&host), before);
    host.shell("! systemctl is-active --quiet other.service");
    host.shell("test -z \"$(ls -A /var/lib/deployix/system)\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_built_or_started_keeps_no_other_from_running() {
    let host = installed("isolated");
    let deployer = Deployer::new("zalora", reaching(&host));
    let first = on([rack("rack1", &host)], [functionality("bad", sleeper())]);
    deployer.deployed(first).await;

    let missing = ServiceSpec::builder(["sleep", "infinity"]).nix(["no-such-package"]);
    let all = [
        functionality("bad", ServiceSpec::builder(["false"]).endpoint("main", 5000))
            .fqdn("bad.example.com")
            .expect("a name"),
        functionality("good", witness("witness-3000", 3000, "1")),
        functionality("missing", missing),
        functionality("needs-bad", sleeper()).upstream("bad.example.com").expect("a name"),
    ];
    let report = deployer.deploy(on([rack("rack1", &host)], all)).await;
    assert!(fate(&report, "good").is_good(), "{report:#?}");
    let told = format!("{report:#?}");
    assert!(matches!(fate(&report, "bad"), Fate::Failed { .. }), "{told}");
    assert!(matches!(fate(&report, "missing"), Fate::Failed { .. }), "{told}");
    let by = Owner::Functionality(support::name("bad"));
    assert!(
        matches!(fate(&report, "needs-bad"), Fate::Blocked { by: all } if *all == [by]),
        "{told}"
    );
    assert!(told.contains("no-such-package"), "{told}");
    assert!(told.contains("bad.service"), "{told}");
    // The old version of what failed runs on, and what is good is there.
    host.shell("systemctl is-active bad.service good.service");
    host.shell("! systemctl cat missing.service needs-bad.service 2> /dev/null");

    // Put right, it comes up.
    let all = [
        functionality("bad", sleeper().env("A", "1")),
        functionality("good", witness("witness-3000", 3000, "1")),
    ];
    let good = pid(&host, "good.service");
    deployer.deployed(on([rack("rack1", &host)], all)).await;
    assert_eq!(pid(&host, "good.service"), good);
}

/// A way to a host that is cut once a system is being activated there, until the test mends it.
#[derive(Debug)]
struct Cut {
    inner: Ssh,
    cut: Arc<AtomicBool>,
    mended: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Cut {
    fn host(&self) -> &str {
        self.inner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, TransportError> {
        if self.cut.load(Ordering::SeqCst) && !self.mended.load(Ordering::SeqCst) {
            return Err(TransportError::Unreachable {
                host: self.inner.host().to_owned(),
                why: "the cable was pulled".to_owned(),
                temporary: true,
            });
        }
        let output = self.inner.run(command).await;
        if command.words().any(|word| word == "start") {
            self.cut.store(true, Ordering::SeqCst);
        }
        output
    }

    async fn reconnect(&self) -> Result<(), TransportError> {
        self.inner.reconnect().await
    }
}

/// Ways to hosts that are cut until the test mends them.
fn cut_until(
    mended: &Arc<AtomicBool>,
    host: &Host,
) -> impl Fn(&str) -> Result<Arc<dyn Transport>, TransportError> + Send + Sync + 'static {
    let (mended, config) = (Arc::clone(mended), host.ssh_config());
    move |address| {
        let inner = Ssh::new(address)?.with_config(&config);
        Ok(Arc::new(Cut { inner, cut: Arc::default(), mended: Arc::clone(&mended) }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_nobody_reaches_after_a_switch_goes_back_by_itself() {
    let host = installed("watchdog");
    let before = system_of(&host);
    let mended = Arc::new(AtomicBool::new(false));
    let connect = cut_until(&mended, &host);
    let deployer = Deployer::new("zalora", connect);
    let wanted = || on([rack("rack1", &host)], [functionality("other", sleeper())]);
    let deploying = tokio::spawn({
        let (deployer, wanted) = (deployer.clone(), wanted());
        async move { deployer.deploy(wanted).await }
    });
    tokio::task::block_in_place(|| {
        host.wait_for("grep -q reverted /run/deployix-switch/*/phase");
        assert_eq!(system_of(&host), before);
        mended.store(true, Ordering::SeqCst);
    });
    let report = deploying.await.expect("deploys");
    let told = format!("{report:#?}");
    assert!(!report.is_good(), "{told}");
    assert!(told.contains("nobody came back within 5 s"), "{told}");
    assert!(told.contains("the one before runs again"), "{told}");

    // Nothing of it is left in the way of the next one.
    deployer.reaching_by(reaching(&host)).deployed(wanted()).await;
    host.shell("systemctl is-active other.service");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_or_full_is_told_and_keeps_no_other_host_back() {
    let host = installed("away");
    let deployer = Deployer::new("zalora", reaching(&host));
    let mut here = functionality("here", sleeper());
    here.machine.target = Some(support::name("rack1"));
    let mut there = functionality("there", sleeper());
    there.machine.target = Some(support::name("rack2"));
    let away = machine("rack2", &format!("ssh://root@{}:9", host.address()));
    let wanted = || on([rack("rack1", &host), away.clone()], [here.clone(), there.clone()]);
    let report = deployer.deploy(wanted()).await;
    let told = format!("{report:#?}");
    assert!(fate(&report, "here").is_good(), "{told}");
    assert!(matches!(fate(&report, "there"), Fate::Blocked { .. }), "{told}");
    assert!(told.contains("cannot be reached"), "{told}");
    host.shell("systemctl is-active here.service");

    let before = system_of(&host);
    host.shell(
        "cd /var/lib/deployix && cp -a system /kept && mount -t tmpfs -o size=1m tmpfs system && \
         cp -a /kept/. system && ! cat /dev/zero > system/filler",
    );
    let mut more = functionality("more", sleeper());
    more.machine.target = Some(support::name("rack1"));
    let full = on([rack("rack1", &host)], [here.clone(), more]);
    let report = deployer.deploy(full).await;
    let told = format!("{report:#?}");
    assert!(matches!(fate(&report, "more"), Fate::Failed { .. }), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
    assert!(told.contains("nix-collect-garbage"), "{told}");
    assert_eq!(system_of(&host), before);
    host.shell("umount /var/lib/deployix/system && systemctl is-active here.service");
}

/// A way to a host whose disk is full by the time that a new system is confirmed there.
#[derive(Debug)]
struct Filling {
    inner: Ssh,
    fills: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Filling {
    fn host(&self) -> &str {
        self.inner.host()
    }

    async fn run(&self, command: &Command) -> Result<Output, TransportError> {
        if self.fills.load(Ordering::SeqCst) && command.words().any(|word| word == "touch") {
            let fill = "cat /dev/zero > /var/lib/deployix/system/filler";
            self.inner.run(&Command::new("sh").args(["-c", fill])).await?;
        }
        self.inner.run(command).await
    }

    async fn reconnect(&self) -> Result<(), TransportError> {
        self.inner.reconnect().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_at_the_end_of_a_switch_leaves_the_machine_as_it_was() {
    let host = installed("full");
    let before = system_of(&host);
    host.shell(
        "mkdir -p /var/lib/deployix/system && \
         mount -t tmpfs -o size=1m tmpfs /var/lib/deployix/system",
    );
    let fills = Arc::new(AtomicBool::new(true));
    let (config, filling) = (host.ssh_config(), Arc::clone(&fills));
    let deployer = Deployer::new("zalora", move |address: &str| {
        let inner = Ssh::new(address)?.with_config(&config);
        Ok(Arc::new(Filling { inner, fills: Arc::clone(&filling) }) as Arc<dyn Transport>)
    });
    let wanted = || on([rack("rack1", &host)], [functionality("web", sleeper())]);
    let report = deployer.deploy(wanted()).await;
    let told = format!("{report:#?}");
    assert!(!report.is_good(), "{told}");
    assert!(told.contains("could not be made the one to boot"), "{told}");
    assert!(told.contains("the one before runs again"), "{told}");
    assert_eq!(system_of(&host), before);
    assert_eq!(host.shell("cat /boot/default-system").trim(), before);
    assert_eq!(host.shell("readlink -f /nix/var/nix/profiles/system").trim(), before);

    fills.store(false, Ordering::SeqCst);
    host.shell("rm /var/lib/deployix/system/filler");
    deployer.deployed(wanted()).await;
    host.shell("systemctl is-active web.service");
    assert!(deployer.destroy().await.is_good());
    assert_eq!(system_of(&host), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_who_deploy_different_functionalities_to_one_machine_at_once_all_succeed() {
    let host = installed("several");
    let base = Deployer::new("zalora", reaching(&host));
    let all = || {
        let names = ["a", "b", "c", "d"].map(|name| functionality(name, sleeper()));
        on([rack("rack1", &host)], names)
    };
    base.deployed(on([rack("rack1", &host)], [])).await;
    let each = ["a", "b", "c", "d"].map(|name| {
        // Each has connections of its own, as another process has.
        let deployer = base.reaching_by(reaching(&host));
        let only = Only::Named([support::name(name)].into());
        let wanted = all();
        tokio::spawn(async move {
            let plan = deployer.plan(wanted, &only).await;
            let report = deployer.carry_out(&plan).await;
            assert!(report.is_good(), "{report:#?}");
        })
    });
    for one in each {
        one.await.expect("succeeds");
    }
    host.shell("systemctl is-active a.service b.service c.service d.service");
    let plan = base.plan(all(), &Only::All).await;
    assert!(plan.steps.is_empty(), "{plan:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_changed_to_the_end_whatever_becomes_of_the_connection() {
    let host = installed("cut");
    let mended = Arc::new(AtomicBool::new(false));
    let connect = cut_until(&mended, &host);
    let deployer = Deployer::new("zalora", connect);
    let wanted =
        deployment([as_profile(functionality("web", sleeper()))], [shared("rack1", &host)]);
    let deploying = tokio::spawn({
        let (deployer, wanted) = (deployer.clone(), wanted.clone());
        async move { deployer.deploy(wanted).await }
    });
    tokio::task::block_in_place(|| {
        host.wait_for("test -e /var/lib/deployix/profiles/zalora/*web.json");
        host.shell("systemctl is-active web.service");
        mended.store(true, Ordering::SeqCst);
    });
    let report = deploying.await.expect("deploys");
    assert!(report.is_good(), "{report:#?}");
    let again = deployer.plan(wanted, &Only::All).await;
    assert!(again.steps.is_empty(), "{again:#?}");
}

/// A machine whose system is somebody else's.
fn shared(name: &str, host: &Host) -> Target {
    let mut target = rack(name, host);
    let (nixpkgs, deploy) = (NIXPKGS.to_owned(), NixosDeploy::Profile);
    let settings = NixosTarget { nixpkgs, deploy, ..NixosTarget::default() };
    target.extensions.insert(&settings).expect("JSON");
    target
}

/// The same, deployed as a profile of its own.
fn as_profile(
    mut functionality: FunctionalitySpec<Arc<dyn Service>>,
) -> FunctionalitySpec<Arc<dyn Service>> {
    let settings =
        NixosFunctionality { deploy: Some(NixosDeploy::Profile), ..NixosFunctionality::default() };
    functionality.extensions.insert(&settings).expect("JSON");
    functionality
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_deployed_to_a_machine_whose_system_is_somebody_elses() {
    let host = installed("visitor");
    let system = system_of(&host);
    let deployer = Deployer::new("visitor", reaching(&host)).with_secret("db", "s3cr3t");
    let wanted = |version, other: ServiceBuilder| {
        let web = functionality(
            "web",
            witness("witness-3000", 3000, version).env("PASSWORD", "${secret:db}"),
        );
        let mut deployment = deployment(
            [as_profile(web), as_profile(functionality("other", other))],
            [shared("rack1", &host)],
        );
        deployment.name = support::name("visitor");
        deployment
    };
    deployer.deployed(wanted("1", sleeper())).await;
    assert_eq!(host.shell("curl --silent http://127.0.0.1:3000/"), "ok");
    assert_eq!(system_of(&host), system);
    host.shell("! grep -r s3cr3t /nix/store /var/lib/deployix/profiles");
    let again = deployer.plan(wanted("1", sleeper()), &Only::All).await;
    assert!(again.steps.is_empty(), "{again:#?}");
    assert_eq!(deployer.drift("rack1", wanted("1", sleeper())).await, Vec::<String>::new());

    let (web, other) = (pid(&host, "web.service"), pid(&host, "other.service"));
    deployer.deployed(wanted("2", sleeper())).await;
    assert_ne!(pid(&host, "web.service"), web);
    assert_eq!(pid(&host, "other.service"), other);

    // What does not start is gone back from, and keeps no other from its change.
    let web = pid(&host, "web.service");
    let broken = ServiceSpec::builder(["false"]);
    let report = deployer.deploy(wanted("3", broken)).await;
    let told = format!("{report:#?}");
    assert!(fate(&report, "web").is_good(), "{told}");
    assert!(matches!(fate(&report, "other"), Fate::Failed { .. }), "{told}");
    assert!(told.contains("generation 1 runs again"), "{told}");
    host.shell("systemctl is-active other.service");
    assert_ne!(pid(&host, "web.service"), web);

    host.shell("nix-env --profile /nix/var/nix/profiles/deployix/visitor/web --rollback");
    let drift = deployer.drift("rack1", wanted("3", sleeper())).await.join("\n");
    assert!(drift.contains("another generation of it was activated by hand"), "{drift}");
    host.shell(
        "nix-env --profile /nix/var/nix/profiles/deployix/visitor/web --switch-generation 3",
    );
    host.shell("systemctl stop web.service");
    let drift = deployer.drift("rack1", wanted("3", sleeper())).await;
    assert!(drift[0].starts_with("web.service is inactive on root@"), "{drift:?}");

    let destroyed = deployer.destroy().await;
    assert!(destroyed.is_good(), "{destroyed:#?}");
    host.shell("! systemctl cat web.service other.service 2> /dev/null");
    host.shell("! test -e /var/lib/deployix/secrets/visitor/web");
    host.shell("! ls /nix/var/nix/profiles/deployix/visitor 2> /dev/null");
    assert_eq!(system_of(&host), system);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_functionality_moves_from_the_system_to_a_profile_and_back() {
    let host = installed("moves");
    let deployer = Deployer::new("zalora", reaching(&host));
    let other = || functionality("other", sleeper());
    let web = || functionality("web", sleeper());
    deployer.deployed(on([rack("rack1", &host)], [web(), other()])).await;
    let kept = pid(&host, "other.service");
    // What does not start as the other is what it was before.
    let broken = || functionality("web", ServiceSpec::builder(["sh", "-c", "sleep 0.2; exit 3"]));
    for (failing, web) in [(as_profile(broken()), as_profile(web())), (broken(), web())] {
        let report = deployer.deploy(on([rack("rack1", &host)], [failing, other()])).await;
        let told = format!("{report:#?}");
        assert!(matches!(fate(&report, "web"), Fate::Failed { .. }), "{told}");
        host.shell("systemctl is-active web.service other.service");
        let wanted = on([rack("rack1", &host)], [web, other()]);
        deployer.deployed(wanted.clone()).await;
        host.shell("systemctl is-active web.service other.service");
        assert_eq!(pid(&host, "other.service"), kept);
        let again = deployer.plan(wanted, &Only::All).await;
        assert!(again.steps.is_empty(), "{again:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_that_is_another_deployments_is_refused_and_left_as_it_is() {
    let host = installed("owned");
    let wanted = |name: &str| {
        let mut wanted = on([rack("rack1", &host)], [functionality("web", sleeper())]);
        wanted.name = support::name(name);
        wanted
    };
    Deployer::new("first", reaching(&host)).deployed(wanted("first")).await;
    let system = system_of(&host);
    let report = Deployer::new("second", reaching(&host)).deploy(wanted("second")).await;
    let told = format!("{report:#?}");
    assert!(!report.is_good(), "{told}");
    assert!(told.contains("a machine has one system"), "{told}");
    assert!(told.contains("first rack1"), "{told}");
    assert_eq!(system_of(&host), system);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_did_to_a_machine_is_seen_and_put_right() {
    let host = installed("drift");
    let before = system_of(&host);
    let deployer = Deployer::new("zalora", reaching(&host));
    let wanted = || {
        let names = ["a", "b"].map(|name| functionality(name, sleeper()));
        on([rack("rack1", &host)], names)
    };
    deployer.deployed(wanted()).await;
    assert_eq!(deployer.drift("rack1", wanted()).await, Vec::<String>::new());
    host.shell("systemctl stop b.service");
    let drift = deployer.drift("rack1", wanted()).await;
    assert_eq!(drift, [format!("b.service is inactive on {}", host.destination())]);
    host.shell(&format!("{before}/bin/switch-to-configuration switch"));
    let drift = deployer.drift("rack1", wanted()).await.join("\n");
    assert!(drift.contains("another system was activated by hand"), "{drift}");

    let report = deployer.refreshed(wanted()).await;
    assert!(report.is_good(), "{report:#?}");
    host.shell("systemctl is-active a.service b.service");
    assert_eq!(deployer.drift("rack1", wanted()).await, Vec::<String>::new());
}

/// Two that are to run on the host, in some version.
fn pair(destination: &str, version: &str) -> Deployment {
    let names = ["a", "b"].map(|name| functionality(name, sleeper().env("VERSION", version)));
    with_nixpkgs(deployment(names, [machine("rack1", destination)]))
}

#[test]
fn a_deploy_that_is_killed_at_any_moment_is_taken_up_by_the_next() {
    let host = installed("killed");
    let folder = tempfile::tempdir().expect("a folder");
    let (destination, config) = (host.destination(), host.ssh_config());
    let deploying = |version: &str| {
        std::process::Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(CHILD, format!("{destination} {}", config.display()))
            .env("DEPLOYIX_TEST_FOLDER", folder.path())
            .env("DEPLOYIX_TEST_VERSION", version)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it runs")
    };
    let deployed = |version: &str| {
        let output = deploying(version).wait_with_output().expect("it ends");
        let told = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&told));
    };
    deployed("0");
    let begin = std::time::Instant::now();
    deployed("1");
    let took = begin.elapsed();
    for (version, sixths) in [("2", 1), ("3", 2), ("4", 3), ("5", 4), ("6", 5)] {
        let mut killed = deploying(version);
        std::thread::sleep(took * sixths / 6);
        killed.kill().expect("killed");
        killed.wait().expect("it ends");
        deployed(version);
        for name in ["a", "b"] {
            let runs = format!(
                "systemctl is-active {name}.service && \
                 tr '\\0' '\\n' < /proc/$(systemctl show -p MainPID --value {name}.service)/environ \
                 | grep -x VERSION={version}"
            );
            host.shell(&runs);
        }
        assert_eq!(host.shell("cat /boot/default-system").trim(), system_of(&host));
        host.shell("test \"$(cat /var/lib/deployix/system/current/system)\" = \"$(readlink -f /run/current-system)\"");
    }
}

/// Not a test of its own: the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_killed() {
    let Ok(folder) = std::env::var("DEPLOYIX_TEST_FOLDER") else { return };
    let host = std::env::var(CHILD).expect("a host");
    let (destination, config) = host.split_once(' ').expect("a host and a file");
    let config = config.to_owned();
    let connect = move |address: &str| {
        Ok(Arc::new(Ssh::new(address)?.with_config(&config)) as Arc<dyn Transport>)
    };
    let deployer = Deployer::new("zalora", connect).with_history_in(folder.as_ref());
    let version = std::env::var("DEPLOYIX_TEST_VERSION").expect("a version");
    let report = deployer.refreshed(pair(destination, &version)).await;
    assert!(report.is_good(), "{report:#?}\n{}", deployer.told());
}

/// Where the process that deploys finds the host.
const CHILD: &str = "DEPLOYIX_TEST_CHILD";

#[test]
fn what_is_built_here_is_copied_to_the_host() {
    let host = installed("copied");
    let nixpkgs = tempfile::tempdir().expect("a folder");
    host::copy_folder(std::path::Path::new(host::STAND_IN), nixpkgs.path());
    // Nix and its SSH are told by the environment what is particular here, which is a process's.
    let config = host.ssh_config();
    let deployed = std::process::Command::new(std::env::current_exe().expect("a program"))
        .args(["--exact", "the_process_that_builds", "--nocapture"])
        .env(CHILD, format!("{} {}", host.destination(), config.display()))
        .env("DEPLOYIX_TEST_NIXPKGS", nixpkgs.path())
        .env("NIX_CONFIG", "substituters =\nbuild-users-group =\nsandbox = false")
        .env("NIX_SSHOPTS", format!("-F {}", config.display()))
        .output()
        .expect("it runs");
    let told = [deployed.stdout, deployed.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(deployed.status.success(), "{told}");
    assert!(told.contains("copying"), "{told}");
    host.shell("systemctl is-active web.service");
    host.shell("test -e /var/lib/deployix/system/current/flake/flake.lock");
}

/// Not a test of its own: the process that builds and copies.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_builds() {
    let Ok(host) = std::env::var(CHILD) else { return };
    let (destination, config) = host.split_once(' ').expect("a host and a file");
    let config = config.to_owned();
    let connect = move |address: &str| {
        Ok(Arc::new(Ssh::new(address)?.with_config(&config)) as Arc<dyn Transport>)
    };
    let deployer = Deployer::new("zalora", connect);
    let mut wanted = deployment([functionality("web", sleeper())], [machine("rack1", destination)]);
    let nixpkgs = std::env::var("DEPLOYIX_TEST_NIXPKGS").expect("a folder");
    for target in wanted.infrastructure.targets.values_mut() {
        let nixpkgs = format!("path:{nixpkgs}");
        let settings = NixosTarget { nixpkgs, build: Build::Here, ..NixosTarget::default() };
        target.extensions.insert(&settings).expect("JSON");
    }
    deployer.deployed(wanted).await;
    println!("{}", deployer.told());
}
