//! A machine of another backend that is told at its first boot, in one text, to be a NixOS machine
//! with these services.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::BTreeMap;

use deployix_backend_nixos::{NixosBackend, NixosDeploy, NixosFunctionality};
use deployix_core::BackendId;
use deployix_core::backend::{FirstBoot, Guest as _, MemoryBackend, PeerAddress, UserDataPart};
use deployix_core::spec::{Deployment, FileContent, ServiceSpec, Target};
use deployix_core::topology::{Assignments, connect, place, resolve};
use support::nix::Folder;
use support::{deployment, functionality, name};

fn target(text: &str) -> Target {
    let mut target = Target::machine(name(text), BackendId::new("memory").expect("a name"));
    target.network = Some(name("sg"));
    target
}

fn sample() -> Deployment {
    let web = ServiceSpec::builder(["hydra-web"])
        .nix(["hydra"])
        .ship("hydra-web", FileContent::program("#!/bin/sh\necho '''${x}'\n"))
        .env("PASSWORD", "${secret:db}")
        .endpoint("http", 3000);
    let database =
        ServiceSpec::builder(["postgres"]).nix(["postgresql"]).endpoint("postgres", 5432);
    let web = functionality("web", web).upstream("db.example.com").expect("a name");
    let database = functionality("db", database).fqdn("db.example.com").expect("a name");
    let mut deployment = deployment([web, database], [target("one"), target("two")]);
    deployment.infrastructure.networks.insert(name("sg"), deployix_core::spec::Network::default());
    deployment.place.insert(name("web"), name("one"));
    deployment.place.insert(name("db"), name("two"));
    deployment
}

/// What the machines of each target are told, with machine `n` of target `two` at 10.9.2.n.
fn user_data(deployment: Deployment) -> BTreeMap<String, Result<String, String>> {
    let registry = support::registry().with(MemoryBackend::new());
    let connected = resolve(deployment, &registry)
        .then(|resolved| place(resolved, &Assignments::default(), &registry))
        .then(|placed| connect(placed, &registry))
        .complete()
        .unwrap_or_else(|errors| panic!("{errors}"));
    let text = |part: UserDataPart| match part {
        UserDataPart::Text(text) => text,
        UserDataPart::Address(PeerAddress::Later { target, machine }) => {
            assert_eq!(target, name("two"));
            format!("10.9.2.{machine}")
        }
        other => panic!("{other:?}"),
    };
    let told = connected.sites().map(|site| {
        let units: Vec<_> =
            connected.units().filter(|unit| unit.site.target.name == site.target.name).collect();
        let data = NixosBackend::new().user_data(&FirstBoot::new(site, &units));
        let data = data
            .map(|data| data.parts.into_iter().map(text).collect())
            .map_err(|error| error.to_string());
        (site.target.name.to_string(), data)
    });
    told.collect()
}

#[test]
fn one_text_makes_the_machine_and_addresses_stand_at_its_head() {
    let told = user_data(sample());
    let text = told["one"].clone().expect("user data");
    let errors = rnix::Root::parse(&text).errors().to_vec();
    assert!(errors.is_empty(), "{errors:?} in {text}");
    insta::with_settings!({ omit_expression => true, snapshot_path => "goldens" }, {
        insta::assert_snapshot!("user-data", text);
    });

    let files = told.into_iter().map(|(target, text)| {
        (format!("{target}.nix"), FileContent::plain(text.expect("user data")))
    });
    let folder = Folder::new(&files.collect());
    let one = folder.settings("one.nix").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(one["networking"]["extraHosts"], "10.9.2.0 db.example.com\n");
    let two = folder.settings("two.nix").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        two["networking"]["firewall"]["extraInputRules"],
        "# web reaches postgres 5432/tcp of db\ntcp dport 5432 accept\n"
    );
}

#[test]
fn what_a_text_cannot_hold_is_refused() {
    let mut binary = sample();
    let service = ServiceSpec::builder(["web"])
        .ship("web", FileContent::program([0x7f, b'E', b'L', b'F', 0]));
    let web = functionality("web", service).upstream("db.example.com").expect("a name");
    binary.catalogs[0].functionalities[0] = web.shared();
    let error = user_data(binary)["one"].clone().expect_err("refused");
    assert!(error.contains("`web` is not a text file"), "{error}");
}

#[test]
fn a_first_boot_has_no_profiles() {
    let mut profile = sample();
    let service = ServiceSpec::builder(["web"]).nix(["hydra"]);
    let settings =
        NixosFunctionality { deploy: Some(NixosDeploy::Profile), ..NixosFunctionality::default() };
    let web = functionality("web", service).upstream("db.example.com").expect("a name");
    profile.catalogs[0].functionalities[0] = web.extension(&settings).expect("JSON").shared();
    let error = user_data(profile)["one"].clone().expect_err("refused");
    assert!(error.contains("at its first boot"), "{error}");
}
