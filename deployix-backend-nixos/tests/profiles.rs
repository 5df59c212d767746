//! Functionalities that are profiles: what is compiled for them and for the system next to them.

#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use deployix_backend_nixos::{NixosDeploy, NixosFunctionality, NixosTarget};
use deployix_core::Digest;
use deployix_core::spec::{
    CertificateAuthority, Deployment, FileContent, FunctionalitySpec, Network, Service,
    ServiceBuilder, ServiceSpec, Target,
};
use support::{deployment, functionality, machine, name, try_compile};

fn service(version: &str) -> ServiceBuilder {
    ServiceSpec::builder(["web"]).nix(["hydra"]).env("VERSION", version)
}

fn deployed(
    name: &str,
    service: ServiceBuilder,
    deploy: NixosDeploy,
) -> FunctionalitySpec<Arc<dyn Service>> {
    let settings = NixosFunctionality { deploy: Some(deploy), ..NixosFunctionality::default() };
    functionality(name, service).extension(&settings).expect("JSON")
}

fn shared(address: &str) -> Target {
    let mut target = machine("rack1", address);
    let settings = NixosTarget { deploy: NixosDeploy::Profile, ..NixosTarget::default() };
    target.extensions.insert(&settings).expect("JSON");
    target
}

/// A system with `base`, and `web` next to it.
fn mixed(base: &str, web: &str) -> Deployment {
    let web = deployed("web", service(web), NixosDeploy::Profile);
    deployment([functionality("base", service(base)), web], [machine("rack1", "10.0.0.1")])
}

/// The digests of a deployment's resources.
fn resources(deployment: Deployment) -> BTreeMap<String, Digest> {
    let (compiled, errors) = try_compile(deployment);
    assert_eq!(errors, [""; 0]);
    compiled
        .resources()
        .values()
        .map(|resource| (resource.id().to_string(), resource.digest()))
        .collect()
}

/// The files of `rack1`.
fn files(deployment: Deployment) -> BTreeMap<String, FileContent> {
    let files = support::files(deployment).into_iter();
    files.filter_map(|(path, file)| Some((path.strip_prefix("rack1/")?.to_owned(), file))).collect()
}

#[test]
fn a_profile_and_the_system_next_to_it_change_apart() {
    let first = resources(mixed("1", "1"));
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        ["nixos/rack1/functionality/base", "nixos/rack1/functionality/web", "nixos/rack1/system"]
    );
    let web = resources(mixed("1", "2"));
    assert_ne!(web["nixos/rack1/functionality/web"], first["nixos/rack1/functionality/web"]);
    assert_eq!(web["nixos/rack1/system"], first["nixos/rack1/system"]);
    let base = resources(mixed("2", "1"));
    assert_eq!(base["nixos/rack1/functionality/web"], first["nixos/rack1/functionality/web"]);
    assert_ne!(base["nixos/rack1/functionality/base"], first["nixos/rack1/functionality/base"]);
    // Nor does the system change when the profile comes or goes.
    let alone = deployment([functionality("base", service("1"))], [machine("rack1", "10.0.0.1")]);
    assert_eq!(resources(alone)["nixos/rack1/system"], first["nixos/rack1/system"]);
}

#[test]
fn a_profile_changes_with_what_makes_it() {
    let web = |address: &str, nixpkgs: &str| {
        let mut target = shared(address);
        let settings = NixosTarget {
            deploy: NixosDeploy::Profile,
            nixpkgs: nixpkgs.to_owned(),
            ..NixosTarget::default()
        };
        target.extensions.insert(&settings).expect("JSON");
        resources(deployment([functionality("web", service("1"))], [target]))["nixos/rack1/functionality/web"]
    };
    let first = web("10.0.0.1", "nixpkgs");
    assert_ne!(web("10.0.0.2", "nixpkgs"), first);
    assert_ne!(web("10.0.0.1", "nixpkgs/nixos-25.05"), first);
    assert_eq!(web("10.0.0.1", "nixpkgs"), first);
}

#[test]
fn a_profile_is_a_package_of_the_flake_and_not_a_part_of_the_system() {
    let files = files(mixed("1", "1"));
    let text = |path: &str| files[path].as_text().expect("text").to_owned();
    assert!(!text("configuration.nix").contains("web"), "{}", text("configuration.nix"));
    insta::with_settings!({ omit_expression => true, snapshot_path => "goldens" }, {
        insta::assert_snapshot!("profile--flake.nix", text("flake.nix"));
    });
    for path in ["default.nix", "activate.sh", "firewall.sh", "prepare.sh"] {
        assert!(files.contains_key(&format!("profile/{path}")), "{path}");
    }
    for path in ["flake.nix", "profile/default.nix"] {
        let errors = rnix::Root::parse(&text(path)).errors().to_vec();
        assert!(errors.is_empty(), "{path}: {errors:?}");
    }
}

#[test]
fn a_target_of_profiles_alone_has_no_system() {
    let deployment = || deployment([functionality("web", service("1"))], [shared("10.0.0.1")]);
    assert_eq!(
        resources(deployment()).keys().collect::<Vec<_>>(),
        ["nixos/rack1/functionality/web"]
    );
    let files = files(deployment());
    let paths: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "flake.nix",
            "modules/web.nix",
            "profile/activate.sh",
            "profile/default.nix",
            "profile/firewall.sh",
            "profile/prepare.sh"
        ]
    );
    assert!(!files["flake.nix"].as_text().expect("text").contains("nixosConfigurations"));
}

#[test]
fn users_whose_ids_meet_are_told_apart_in_profiles_too() {
    // Found by trying names: both hash to the same id.
    let (first, second) = ("u2064", "u2927");
    let one = functionality("one", service("1").user(first));
    let two = deployed("two", service("1").user(second), NixosDeploy::Profile);
    let files = files(deployment([one, two], [machine("rack1", "10.0.0.1")]));
    let text = |path: &str| files[path].as_text().expect("text");
    assert!(text("flake.nix").contains(&format!("ids.{second} = ")), "{}", text("flake.nix"));
    assert!(!text("configuration.nix").contains(second), "{}", text("configuration.nix"));
}

#[test]
fn what_needs_a_system_is_refused_where_there_is_none() {
    let part = deployed("web", service("1"), NixosDeploy::System);
    let (_, errors) = try_compile(deployment([part], [shared("10.0.0.1")]));
    let told = errors.join("\n");
    assert!(told.contains("target `rack1` has no system that it could be a part of"), "{told}");

    let db = functionality("db", service("1").endpoint("db", 5432)).fqdn("db.zalora.com");
    let web = functionality("web", service("1")).upstream("db.zalora.com");
    let alone = functionality("alone", service("1"));
    let mut rack1 = shared("10.0.0.1");
    let mut rack2 = machine("rack2", "10.1.0.1");
    (rack1.network, rack2.network) = (Some(name("sg")), Some(name("eu")));
    let mut apart = deployment([db.expect("a name"), web.expect("a name"), alone], [rack1, rack2]);
    apart.certificate_authority =
        Some(CertificateAuthority { certificate: Some("ca".to_owned()), key: "ca.key".into() });
    for network in ["sg", "eu"] {
        apart.infrastructure.networks.insert(name(network), Network::default());
    }
    for (functionality, target) in [("db", "rack2"), ("web", "rack1"), ("alone", "rack1")] {
        apart.place.insert(name(functionality), name(target));
    }
    let (compiled, errors) = try_compile(apart);
    let told = errors.join("\n");
    assert!(told.contains("it talks to `db` over IPsec") && told.contains("one network"), "{told}");
    // And only that.
    let ids: Vec<String> = compiled.resources().keys().map(ToString::to_string).collect();
    assert!(ids.contains(&"nixos/rack1/functionality/alone".to_owned()), "{ids:?}");
}
