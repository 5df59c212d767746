//! What NixOS cannot honour is refused with what to do, and nothing is dropped without a word.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use deployix_backend_nixos::{NixosFunctionality, NixosTarget};
use deployix_core::plan::Compiled;
use deployix_core::spec::{
    CertificateAuthority, Deployment, FunctionalitySpec, Group, Service, ServiceBuilder,
    ServiceSpec, Template,
};
use support::{deployment, functionality, machine, module_of, name, refusal_of, try_compile};

fn service() -> ServiceBuilder {
    ServiceSpec::builder(["web"]).nix(["hydra"])
}

#[test]
fn every_refusal_says_what_and_what_to_do() {
    let noncharacter = Template::literal("\u{FDD0}").to_string();
    let long = "x".repeat(200_000);
    let cases: [(ServiceBuilder, &[&str]); 15] = [
        (ServiceSpec::builder(["web"]), &["where `web` comes from", "software.nix"]),
        (
            ServiceSpec::builder(["bin/web"]).nix(["hydra"]),
            &["`bin/web` is neither", "found on PATH"],
        ),
        (ServiceSpec::builder(["-web"]).nix(["hydra"]), &["\"-web\"", "absolute path"]),
        (ServiceSpec::builder(["web"]).nix(["a..b"]), &["\"a..b\" is not an attribute path"]),
        (service().env("KEY", &noncharacter), &["U+FDD0", "file"]),
        (service().env("KEY", &long), &["200004 bytes", "file"]),
        (ServiceSpec::builder(["web", long.as_str()]).nix(["hydra"]), &["200000 bytes", "file"]),
        (service().state("/tmp/x"), &["`/tmp/x` does not survive", "/var/lib"]),
        (service().state("/run/x"), &["`/run/x` does not survive"]),
        (service().file("/nix/store/x", "text"), &["no file can be put there", "/etc"]),
        (service().user("nobody"), &["`nobody` is a user or group of NixOS itself"]),
        (service().schedule("hourly").ready_by_notify(), &["never ready", "remove `readiness`"]),
        (service().image("registry/web:1"), &[]),
        (service().env("PATH", "/opt/bin"), &[]),
        (service().user("root"), &[]),
    ];
    for (service, expected) in cases {
        let shown = format!("{service:?}").chars().take(300).collect::<String>();
        if expected.is_empty() {
            module_of(service);
            continue;
        }
        let refusal = refusal_of(service);
        for part in expected {
            assert!(refusal.contains(part), "{part:?} is not in {refusal:?} for {shown}");
        }
    }
}

#[test]
fn all_reasons_are_told_at_once() {
    let refusal = refusal_of(service().state("/tmp/x").user("nobody").file("/nix/x", "text"));
    for part in ["/tmp/x", "nobody", "no file can be put there"] {
        assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
    }
}

#[test]
fn an_own_path_is_where_programs_are_looked_up() {
    let module = module_of(service().env("PATH", "/opt/100%/bin"));
    assert!(module.contains("ExecSearchPath = \"/opt/100%%/bin\";"), "{module}");
    assert!(module.contains("environment.PATH = lib.mkForce \"/opt/100%%/bin\";"), "{module}");
}

#[test]
fn root_is_not_made_anew() {
    let module = module_of(service().user("root"));
    assert!(module.contains("User = \"root\";") && !module.contains("users.root"), "{module}");
}

fn both_on_one(first: ServiceBuilder, second: ServiceBuilder) -> (Deployment, String) {
    let make = || {
        deployment(
            [functionality("one", first.clone()), functionality("two", second.clone())],
            [machine("rack1", "10.0.0.1")],
        )
    };
    (make(), try_compile(make()).1.join("\n"))
}

#[test]
fn what_cannot_stand_side_by_side_is_told() {
    let file = |text: &str| service().file("/etc/shared.conf", text);
    let (_, errors) = both_on_one(file("a"), file("b"));
    assert!(errors.contains("both have /etc/shared.conf"), "{errors}");
    let (_, errors) = both_on_one(file("a"), file("a"));
    assert_eq!(errors, "");
    let state = || service().state("/var/lib/shared");
    let (_, errors) = both_on_one(state(), state());
    assert!(errors.contains("both have /var/lib/shared"), "{errors}");
    let (_, errors) = both_on_one(state().user("shared"), state().user("shared"));
    assert_eq!(errors, "");
}

#[test]
fn files_that_cannot_be_linked_to_are_refused() {
    let told = |path: &str| support::refusal_of(service().file(path, "x\n"));
    let deployix = told("/etc/deployix/files/opt/x");
    assert!(deployix.contains("no file can be put there on NixOS"), "{deployix}");
    for path in ["/opt/x ", "/opt/x\\"] {
        let end = told(path);
        assert!(end.contains("cannot end in a space or a backslash"), "{end}");
    }
}

#[test]
fn names_of_units_that_nixos_has_are_refused() {
    for taken in ["sshd", "nftables", "systemd-networkd"] {
        let (_, errors) = try_compile(deployment(
            [functionality(taken, service())],
            [machine("rack1", "10.0.0.1")],
        ));
        let expected = format!("NixOS itself has a systemd unit called `{taken}`");
        assert!(errors.join("\n").contains(&expected), "{errors:?}");
    }
}

#[test]
fn ids_that_meet_are_told_apart_and_told() {
    // Found by trying names: both hash to the same id.
    let (first, second) = ("u2064", "u2927");
    let functionalities =
        [functionality("one", service().user(first)), functionality("two", service().user(second))];
    let (compiled, errors) =
        try_compile(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    assert_eq!(errors, [""; 0]);
    let assembled = &compiled.assembled()[&name("rack1")];
    let remarks: Vec<&str> =
        assembled.remarks.iter().map(|remark| remark.message.as_str()).collect();
    assert!(remarks.iter().any(|remark| remark.contains("give the same user id")), "{remarks:?}");
    let configuration = assembled
        .files
        .iter()
        .find(|(path, _)| path.as_str() == "configuration.nix")
        .expect("a file");
    let text = configuration.1.as_text().expect("text");
    assert!(
        text.contains(&format!("users.{second}.uid = "))
            && text.contains(&format!("groups.{second}.gid = ")),
        "{text}"
    );
}

#[test]
fn ten_thousand_users_of_one_target_have_ids_of_their_own() {
    let functionalities =
        (0..10_000).map(|n| functionality(&format!("f{n}"), service().user(&format!("u{n}"))));
    let make = |functionalities: Vec<_>| {
        let deployment = deployment(functionalities, [machine("rack1", "10.0.0.1")]);
        let (compiled, errors) = try_compile(deployment);
        assert_eq!(errors, [""; 0]);
        compiled
    };
    let functionalities: Vec<_> = functionalities.collect();
    let compiled = make(functionalities.clone());
    let (files, target) = (compiled.files(), name("rack1"));
    let text = |path: &str| {
        let path = deployix_core::RelativePath::new(path).expect("a path");
        files.get(&(&target, &path)).and_then(|file| file.as_text()).expect("text")
    };
    let remarks = |compiled: &Compiled| {
        let remarks = &compiled.assembled()[&name("rack1")].remarks;
        let of_ids = remarks.iter().filter(|remark| remark.message.contains("the same user id"));
        of_ids.map(|remark| remark.message.clone()).collect::<Vec<_>>()
    };
    let told = remarks(&compiled);
    assert!(!told.is_empty());
    let mut moved = BTreeMap::new();
    for remark in &told {
        let (_, rest) = remark.split_once(", so `").expect("who has another id");
        let (user, rest) = rest.split_once("` has ").expect("an id");
        let id = rest.split(' ').next().expect("an id");
        assert!(text("configuration.nix").contains(&format!("{user}.gid = {id};")), "{remark}");
        moved.insert(user, id.parse::<u32>().expect("a number"));
    }
    let own = |n: u32| {
        let text = text(&format!("modules/f{n}.nix"));
        let (_, rest) = text.split_once("gid = lib.mkDefault ").expect("an id");
        rest.split(';').next().expect("an id").parse().expect("a number")
    };
    let id = |n: u32| moved.get(format!("u{n}").as_str()).copied().unwrap_or_else(|| own(n));
    assert_eq!((0..10_000).map(id).collect::<BTreeSet<_>>().len(), 10_000);

    let reversed = make(functionalities.into_iter().rev().collect());
    assert_eq!(remarks(&reversed), told);
    assert!(reversed.files() == files);
}

#[test]
fn across_networks_a_machine_needs_an_address_and_not_only_a_name() {
    let make = |address: &str| {
        let db = functionality("db", service().endpoint("db", 5432));
        let web = functionality("web", service()).upstream("db.example.com").expect("a name");
        let db = db.fqdn("db.example.com").expect("a name");
        let targets = [machine("one", "10.0.0.1"), machine("two", address)];
        let mut deployment = deployment([web, db], targets);
        deployment.place.insert(name("web"), name("one"));
        deployment.place.insert(name("db"), name("two"));
        deployment.certificate_authority = Some(CertificateAuthority {
            certificate: Some("a certificate".to_owned()),
            key: "ca.key".into(),
        });
        try_compile(deployment).1.join("\n")
    };
    assert_eq!(make("10.1.0.1"), "");
    let errors = make("two.example.com");
    assert!(errors.contains("give target `two` an IP address as its `address`"), "{errors}");
}

#[test]
fn services_that_would_have_one_name_are_told() {
    let member = || service().build().expect("a service");
    let group = Group::new().member("b", member()).expect("a name");
    let group: Arc<dyn Service> = Arc::new(group);
    let group = FunctionalitySpec::new("a", group).expect("a name");
    let other = functionality("a-b", service());
    let (_, errors) = try_compile(deployment([group, other], [machine("rack1", "10.0.0.1")]));
    assert!(errors.join("\n").contains("both have a service called `a-b`"), "{errors:?}");
}

#[test]
fn a_machine_without_modules_of_its_own_is_remarked_on() {
    let remarks = |target| {
        let (compiled, _) = try_compile(deployment([functionality("web", service())], [target]));
        compiled.assembled()[&name("rack1")].remarks.len()
    };
    assert_eq!(remarks(machine("rack1", "10.0.0.1")), 1);
    let mut target = machine("rack1", "10.0.0.1");
    let modules = vec![deployix_core::RelativePath::new("hardware.nix").expect("a path")];
    target.extensions.insert(&NixosTarget { modules, ..NixosTarget::default() }).expect("JSON");
    assert_eq!(remarks(target), 0);
}

#[test]
fn settings_over_the_sandbox_that_nix_cannot_hold_are_refused() {
    let settings = NixosFunctionality {
        service_config: [("TasksMax".to_owned(), u64::MAX.into())].into(),
        ..NixosFunctionality::default()
    };
    let web = functionality("web", service()).extension(&settings).expect("JSON");
    let (_, errors) = try_compile(deployment([web], [machine("rack1", "10.0.0.1")]));
    assert!(errors.join("\n").contains("no integers over 64 bits"), "{errors:?}");
}

#[test]
fn what_a_modular_service_cannot_say_is_refused() {
    let refused = |service| {
        let web = support::modular(functionality("web", service));
        try_compile(deployment([web], [machine("rack1", "10.0.0.1")])).1.join("\n")
    };
    let error = refused(ServiceSpec::builder(["/opt/$$x/web"]));
    assert!(error.contains("`$` in its path") && error.contains("leave `style` out"), "{error}");
    assert_eq!(refused(ServiceSpec::builder(["/opt/x/web", "$$x"])), "");
    // As JSON it takes six times as many bytes.
    let controls = "\u{1}".repeat(100_000);
    let error = refused(ServiceSpec::builder(["/web", controls.as_str(), controls.as_str()]));
    assert!(error.contains("more than systemd reads as one line"), "{error}");
}

#[test]
fn equal_specs_in_any_order_give_equal_bytes() {
    let files = || support::files(support::sample::hydra(support::sample::targets()));
    let mut shuffled = support::sample::hydra(support::sample::targets());
    shuffled.catalogs[0].functionalities.reverse();
    assert_eq!(support::files(shuffled), files());
}

#[test]
fn names_of_units_that_deployix_makes_are_refused() {
    let name = "deployix-prepare-web";
    let (_, errors) =
        try_compile(deployment([functionality(name, service())], [machine("rack1", "10.0.0.1")]));
    assert!(errors.join("\n").contains("would be one of Deployix's own"), "{errors:?}");
}
