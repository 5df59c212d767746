//! Functionalities as profiles of their own on a host: from specs, over the generated flake, to
//! generations that are changed one by one beside the machine's system.

#[path = "support/container.rs"]
mod container;
#[path = "support/host.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod host;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;

use deployix_backend_nixos::{HOST_SCRIPT, NixosDeploy, NixosFunctionality, NixosTarget};
use deployix_core::spec::{
    FileContent, FunctionalitySpec, Group, Network, Service, ServiceBuilder, ServiceSpec, Target,
};
use host::{Host, flake, witness};
use support::{deployment, functionality, machine, name};

const UNITS: &str = "/etc/systemd/system.attached";
const WEB: &str = "$(systemctl show -p MainPID --value web.service)";

fn profile(name: &str, service: ServiceBuilder) -> FunctionalitySpec<Arc<dyn Service>> {
    functionality(name, service)
        .extension(&NixosFunctionality {
            deploy: Some(NixosDeploy::Profile),
            ..NixosFunctionality::default()
        })
        .expect("JSON")
}

/// A machine whose functionalities are profiles, next to the system of somebody else.
fn shared() -> Target {
    let mut target = machine("rack1", "10.0.0.1");
    let settings = NixosTarget { deploy: NixosDeploy::Profile, ..NixosTarget::default() };
    target.extensions.insert(&settings).expect("JSON");
    target
}

/// One functionality on such a machine.
fn alone(name: &str, service: ServiceBuilder) -> BTreeMap<String, FileContent> {
    flake(deployment([functionality(name, service)], [shared()]))
}

/// A host that knows the script.
fn host(what: &str) -> Host {
    let host = Host::start(what);
    let script = FileContent::plain(HOST_SCRIPT);
    host.put(&BTreeMap::from([("host.sh".to_owned(), script)]), "/opt/deployix");
    host
}

fn built(host: &Host, files: &BTreeMap<String, FileContent>, name: &str) -> String {
    host.put(files, "/srv/flake");
    host.build("/srv/flake", &format!("packages.x86_64-linux.{name}"))
}

/// Succeeds where `web` runs this version.
fn version(version: u32) -> String {
    format!("tr '\\0' '\\n' < /proc/{WEB}/environ | grep -x VERSION={version}")
}

/// What the script told, and how it ended.
fn change(host: &Host, arguments: &str) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = host.run(&format!("sh /opt/deployix/host.sh {arguments}"));
    (status.code(), String::from_utf8(stderr).expect("UTF-8"))
}

fn done(host: &Host, arguments: &str) -> String {
    let (status, told) = change(host, arguments);
    assert_eq!(status, Some(0), "{arguments}: {told}");
    told
}

/// All that a profile can leave on a machine, besides state and users.
fn traces(host: &Host, name: &str) -> String {
    host.shell(&format!(
        "find /etc -lname '*/profiles/deployix/*'; find {UNITS} /nix/var/nix/profiles/deployix \
         /run/deployix-hosts /run/deployix-profiles 2> /dev/null | grep -w {name}; \
         systemctl list-units --all --no-legend '{name}*' 'deployix-*-{name}*' | grep -v not-found; \
         nft list ruleset | grep -w deployix-{name}; true"
    ))
}

#[test]
fn one_functionality_is_changed_while_the_other_and_the_system_keep_running() {
    let host = host("profiles");
    let rack = |web: &str, base: &str| {
        let web = profile("web", witness("web", 3000, web).file("/etc/web.conf", "x\n"))
            .fqdn("web.zalora.com")
            .and_then(|web| web.upstream("api.zalora.com"))
            .expect("names");
        let api = profile("api", witness("api", 3001, "1")).fqdn("api.zalora.com").expect("a name");
        // The second version of the system has another /etc/hosts.
        let upstream = if base == "2" { "web.zalora.com" } else { "client.zalora.com" };
        let base =
            functionality("base", witness("base", 3002, base)).upstream(upstream).expect("a name");
        let client = functionality("client", ServiceSpec::builder(["sleep", "infinity"]))
            .fqdn("client.zalora.com")
            .expect("a name")
            .upstream("web.zalora.com")
            .expect("a name");
        let targets = ["rack1", "rack2"].map(|target| {
            let mut target = machine(target, &format!("10.0.0.{}", &target[4..]));
            target.network = Some(name("sg"));
            target
        });
        let mut deployment = deployment([web, api, base, client], targets);
        deployment.infrastructure.networks.insert(name("sg"), Network::default());
        for functionality in ["web", "api", "base"] {
            deployment.place.insert(name(functionality), name("rack1"));
        }
        deployment.place.insert(name("client"), name("rack2"));
        flake(deployment)
    };
    let switch = |files: &BTreeMap<String, FileContent>| {
        host.put(files, "/srv/flake");
        let system = host.build_system("/srv/flake", "rack1");
        host.shell(&format!("{system}/bin/switch-to-configuration switch 2>&1"))
    };
    switch(&rack("1", "1"));
    let api = built(&host, &rack("1", "1"), "api");
    let first = built(&host, &rack("1", "1"), "web");
    done(&host, &format!("deploy zalora api {api}"));
    done(&host, &format!("deploy zalora web {first}"));
    for port in [3000, 3001, 3002] {
        assert_eq!(host.shell(&format!("curl --silent http://127.0.0.1:{port}/")), "ok");
    }
    assert_eq!(host.shell("cat /etc/web.conf"), "x\n");
    // The name of the upstream, and the machine's own, in the service alone.
    let hosts = || host.shell(&format!("nsenter --target {WEB} --mount cat /etc/hosts"));
    let seen = hosts();
    assert!(seen.starts_with("127.0.0.1 api.zalora.com\n127.0.0.1 localhost\n"), "{seen}");
    host.shell("! grep api.zalora.com /etc/hosts");
    // The declared consumer is let in, also after the packet filter was loaded anew.
    let rules = "nft list chain inet nixos-fw deployix-web | grep 'ip saddr 10.0.0.2 tcp dport 3000 accept' && \
                 nft list chain inet nixos-fw input-allow | grep -c 'jump deployix-web'";
    assert!(host.shell(rules).ends_with("\n1\n"));
    host.shell("systemctl reload nftables.service");
    host.wait_for(rules);
    host.shell("systemctl stop nftables.service && systemctl start deployix-firewall-web.service");
    host.shell("journalctl --unit deployix-firewall-web.service | grep 'nothing is opened or closed for web'");
    host.shell("systemctl start nftables.service");
    host.wait_for(rules);

    let before = ["web", "api", "base"].map(|unit| host.running(&format!("{unit}.service")));
    let second = built(&host, &rack("2", "1"), "web");
    let told = done(&host, &format!("deploy zalora web {second}"));
    assert!(told.contains("zalora/web: restarting web.service\n"), "{told}");
    assert_ne!(host.running("web.service"), before[0]);
    assert_eq!(host.running("api.service"), before[1]);
    assert_eq!(host.running("base.service"), before[2]);
    host.shell("! journalctl --no-pager | grep -E 'system.attached.*(Unknown|ignoring)'");
    // The same once more changes nothing.
    let before = ["web", "api", "base"].map(|unit| host.running(&format!("{unit}.service")));
    done(&host, &format!("deploy zalora web {second}"));
    assert_eq!(host.running("web.service"), before[0]);

    // The system is switched to another version, and the profiles keep running.
    let told = switch(&rack("2", "2"));
    assert!(told.contains("restarting the following units: base.service\n"), "{told}");
    assert_eq!(host.running("web.service"), before[0]);
    assert_eq!(host.running("api.service"), before[1]);
    host.wait_for(rules);
    let seen = hosts();
    let machine = "127.0.0.1 localhost\n::1 localhost\n127.0.0.2 rack1\n127.0.0.1 web.zalora.com\n";
    assert_eq!(seen.trim_end(), format!("127.0.0.1 api.zalora.com\n{machine}").trim_end());

    done(&host, "rollback zalora web 1");
    assert_eq!(host.shell("readlink -f /nix/var/nix/profiles/deployix/zalora/web").trim(), first);
    host.shell(&version(1));
    assert_eq!(host.running("api.service"), before[1]);

    done(&host, "remove zalora web");
    assert_eq!(host.running("api.service"), before[1]);
    host.shell("! test -e /etc/web.conf && ! systemctl is-active web.service && test -e /var/lib/web/started.json");
    done(&host, "remove zalora api");
    assert_eq!(traces(&host, "web"), "");
}

#[test]
fn a_version_that_does_not_start_leaves_the_one_before_running() {
    let host = host("reverted");
    let sleeper =
        |version: &str| ServiceSpec::builder(["sleep", "infinity"]).env("VERSION", version);
    let broken = || ServiceSpec::builder(["sh", "-c", "echo no spice today >&2; exit 7"]);

    // Nothing ran before, and nothing of it stays.
    let path = built(&host, &alone("web", broken()), "web");
    let (status, told) = change(&host, &format!("deploy zalora web {path}"));
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("web.service does not run: "), "{told}");
    assert!(told.contains("| no spice today"), "{told}");
    assert_eq!(traces(&host, "web"), "");

    let good = built(&host, &alone("web", sleeper("1").file("/opt/web/kept", "x\n")), "web");
    done(&host, &format!("deploy zalora web {good}"));
    let (status, told) = change(&host, &format!("deploy zalora web {path}"));
    assert_eq!(status, Some(1), "{told}");
    assert!(told.ends_with("zalora/web: generation 1 runs again\n"), "{told}");
    host.shell("systemctl is-active web.service && grep -x x /opt/web/kept");
    assert_eq!(host.shell("ls /nix/var/nix/profiles/deployix/zalora"), "web\nweb-1-link\n");

    // One change at a time: here something else holds the lock.
    let output = host.run(&format!(
        "DEPLOYIX_LOCK_WITHIN=1 flock /run/deployix-profiles.lock \
         sh /opt/deployix/host.sh deploy zalora web {path}"
    ));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.ends_with("another change of this machine is still under way\n"), "{told}");
    // Where a change was cut short nobody knows what runs, so it is started anew.
    let before = host.running("web.service");
    host.shell(": > /run/deployix-profiles/zalora/web.changing");
    done(&host, &format!("deploy zalora web {good}"));
    assert_ne!(host.running("web.service"), before);

    // A probe that never succeeds is as bad.
    let never = sleeper("3")
        .ready_by_command(["false"])
        .ready_within(deployix_core::spec::Span::seconds(2));
    let never = built(&host, &alone("web", never), "web");
    let (status, told) = change(&host, &format!("deploy zalora web {never}"));
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("web.service does not run: Result=timeout"), "{told}");
    host.shell("systemctl is-active web.service");
}

#[test]
fn what_belongs_to_somebody_else_is_not_replaced() {
    let host = host("foreign");
    let sleeper = || ServiceSpec::builder(["sleep", "infinity"]);
    let web = sleeper().file("/etc/web.conf", "x\n").file("/opt/web.d", "y\n");
    let path = built(&host, &alone("web", web), "web");
    let refused = |why: &str| {
        let (status, told) = change(&host, &format!("deploy zalora web {path}"));
        assert_eq!(status, Some(1), "{told}");
        assert!(told.contains(why), "{told}");
        host.shell("! test -e /nix/var/nix/profiles/deployix/zalora/web");
    };
    host.shell("echo mine > /etc/web.conf");
    refused("/etc/web.conf belongs to somebody else\n");
    host.shell("rm /etc/web.conf; ln -s /etc/hostname /etc/web.conf");
    refused("/etc/web.conf belongs to somebody else: it leads to /etc/hostname\n");
    host.shell(
        "rm /etc/web.conf; printf '[Service]\\nExecStart=/bin/sleep 1\\n' > \
         /etc/systemd/system/web.service && systemctl daemon-reload",
    );
    refused("the machine has a unit web.service already: /etc/systemd/system/web.service\n");
    host.shell("rm /etc/systemd/system/web.service && systemctl daemon-reload");
    // Outside of /etc as well.
    host.shell("mkdir -p /opt/web.d && echo kept > /opt/web.d/data");
    refused("/opt/web.d belongs to somebody else\n");
    assert_eq!(host.shell("cat /opt/web.d/data"), "kept\n");
    host.shell("mv /opt/web.d /opt/theirs; ln -s theirs /opt/web.d");
    refused("/opt/web.d belongs to somebody else: it leads to theirs\n");
    host.shell("rm /opt/web.d");
    done(&host, &format!("deploy zalora web {path}"));

    // Another deployment's functionality of the same name.
    let mut other = deployment([functionality("web", sleeper())], [shared()]);
    other.name = name("other");
    let other = built(&host, &flake(other), "web");
    let (status, told) = change(&host, &format!("deploy other web {other}"));
    assert_eq!(status, Some(1), "{told}");
    let place = "/nix/var/nix/profiles/deployix/zalora/web/units/web.service";
    assert!(told.contains(&format!("belongs to somebody else: it leads to {place}\n")), "{told}");
    host.shell("systemctl is-active web.service");
}

#[test]
fn a_link_outside_of_etc_leads_to_each_version_of_its_file_and_goes_with_it() {
    let host = host("outside");
    let web = |files: &[(&str, &str)]| {
        let start = || ServiceSpec::builder(["sleep", "infinity"]);
        let web = files.iter().fold(start(), |web, (path, text)| web.file(path, text));
        done(&host, &format!("deploy zalora web {}", built(&host, &alone("web", web), "web")))
    };
    web(&[("/opt/web/a b%", "1\n"), ("/srv/gone", "1\n"), ("/srv/theirs", "1\n")]);
    assert_eq!(host.shell("cat '/opt/web/a b%' /srv/gone"), "1\n1\n");
    // Whoever put something else there keeps it.
    host.shell("rm /srv/theirs && echo kept > /srv/theirs");
    let told = web(&[("/opt/first", "2\n"), ("/opt/web/a b%", "3\n")]);
    assert_eq!(host.shell("cat /opt/first '/opt/web/a b%' /srv/theirs"), "2\n3\nkept\n");
    host.shell("! test -L /srv/gone");
    assert!(!told.contains("ignoring"), "{told}");

    done(&host, "rollback zalora web 2");
    host.shell("rm /opt/first && ln -s theirs /opt/first");
    done(&host, "remove zalora web");
    host.shell("! test -L '/opt/web/a b%' && ! test -e /etc/deployix");
    assert_eq!(host.shell("readlink /opt/first; cat /srv/theirs"), "theirs\nkept\n");
    assert_eq!(traces(&host, "web"), "");
}

#[test]
fn on_demand_and_periodic_functionalities_are_profiles_too_and_come_back_after_a_boot() {
    let host = host("boot");
    let demand = |version: &str| witness_on_demand(version);
    let first = built(&host, &alone("web", demand("1")), "web");
    done(&host, &format!("deploy zalora web {first}"));
    host.shell("! systemctl is-active --quiet web.service");
    assert_eq!(host.shell("curl --silent --max-time 20 http://127.0.0.1:3000/"), "ok");
    let periodic = ServiceSpec::builder(["sh", "-c", "echo > /var/lib/tick/tock"])
        .state("/var/lib/tick")
        .schedule("every minute");
    let tick = built(&host, &alone("tick", periodic), "tick");
    done(&host, &format!("deploy zalora tick {tick}"));
    host.shell("systemctl is-active tick.timer && systemctl start tick.service && test -e /var/lib/tick/tock");

    // The running version ends, and the next connection meets the new one.
    let second = built(&host, &alone("web", demand("2")), "web");
    done(&host, &format!("deploy zalora web {second}"));
    host.shell(
        "! systemctl is-active --quiet web.service && systemctl is-active web-http-3000.socket",
    );
    assert_eq!(host.shell("curl --silent --max-time 20 http://127.0.0.1:3000/"), "ok");
    host.shell(&version(2));

    // /run is empty after a boot, and so is /tmp; users may have been removed by a system.
    host.restart();
    host.wait_for("systemctl is-active web-http-3000.socket tick.timer");
    host.shell("userdel web");
    assert_eq!(host.shell("curl --silent --max-time 20 http://127.0.0.1:3000/"), "ok");
    let before = host.running("web.service");
    done(&host, &format!("deploy zalora web {second}"));
    assert_eq!(host.running("web.service"), before);
}

fn witness_on_demand(version: &str) -> ServiceBuilder {
    let program = FileContent::program(include_bytes!("support/witness.py").as_slice());
    ServiceSpec::builder(["witness"])
        .nix(["python3"])
        .ship("witness", program)
        .state("/var/lib/web")
        .env("WITNESS_FOLDER", "/var/lib/web")
        .env("WITNESS_PORT", "3000")
        .env("VERSION", version)
        .endpoint("http", 3000)
        .on_demand()
}

#[test]
fn of_a_group_only_the_members_that_changed_are_restarted() {
    let host = host("group");
    let member = |version: &str| {
        let service = ServiceSpec::builder(["sleep", "infinity"]).env("VERSION", version);
        service.build().expect("a service")
    };
    let pair = |members: &[(&str, &str)]| {
        let group = members
            .iter()
            .try_fold(Group::new(), |group, (name, version)| group.member(name, member(version)));
        let group: Arc<dyn Service> = Arc::new(group.expect("names"));
        let pair = FunctionalitySpec::new("pair", group).expect("a name");
        built(&host, &flake(deployment([pair], [shared()])), "pair")
    };
    let first = pair(&[("one", "1"), ("two", "1")]);
    done(&host, &format!("deploy zalora pair {first}"));
    let (one, two) = (host.running("pair-one.service"), host.running("pair-two.service"));

    let second = pair(&[("one", "1"), ("three", "1"), ("two", "2")]);
    let told = done(&host, &format!("deploy zalora pair {second}"));
    assert!(told.contains("restarting pair-two.service\n"), "{told}");
    assert_eq!(host.running("pair-one.service"), one);
    assert_ne!(host.running("pair-two.service"), two);
    host.shell("systemctl is-active pair.target pair-three.service");

    let third = pair(&[("one", "1"), ("three", "1")]);
    let told = done(&host, &format!("deploy zalora pair {third}"));
    assert!(told.contains("stopping pair-two.service\n"), "{told}");
    assert_eq!(host.running("pair-one.service"), one);
    host.shell("! systemctl cat pair-two.service");
    // Stopping the group stops its members, as in a system.
    host.shell("systemctl stop pair.target && ! systemctl is-active pair-one.service");
    done(&host, "remove zalora pair");
    assert_eq!(traces(&host, "pair"), "");
}
