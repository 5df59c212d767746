//! `deployix compile`.

use std::path::Path;

use serde_json::json;

use crate::support::{Folder, SHOP, SHUFFLED, codes, keys};

#[test]
fn files_stand_below_their_target_and_a_second_run_changes_nothing() {
    let folder = Folder::with(SHOP);
    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.contains("wrote out/box/compose.yaml\n"), "{}", ran.stdout);
    let before = folder.files("out");
    assert!(before.contains_key(Path::new("box/page/Dockerfile")), "{:?}", before.keys());

    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.ends_with("of them unchanged\n"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert_eq!(folder.files("out"), before);
}

#[test]
fn shuffled_specs_give_the_same_bytes() {
    for backend in ["", " --backend docker", " --backend nixos", " --backend ec2"] {
        let files = |text| {
            let folder = Folder::with(text);
            folder.run(&format!("compile --out out{backend}")).done();
            folder.files("out")
        };
        assert_eq!(files(SHOP), files(SHUFFLED), "{backend}");
    }
}

#[test]
fn one_backend_gets_everything_on_one_target_named_after_it() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out --backend nixos").done();
    let files = folder.files("out");
    for path in ["flake.nix", "configuration.nix", "modules/db.nix", "modules/page.nix"] {
        assert!(files.contains_key(&Path::new("nixos").join(path)), "{:?}", files.keys());
    }
    assert!(
        files.keys().all(|path| path.starts_with("nixos") || path.starts_with(".deployix-files"))
    );
}

#[test]
fn an_unknown_backend_is_wrong_usage() {
    let ran = Folder::with(SHOP).run("compile --out out --backend nixes").wrong_usage();
    assert!(ran.stderr.contains("did you mean `nixos`?"), "{}", ran.stderr);
    Folder::with(SHOP).run("compile").wrong_usage();
}

#[test]
fn the_document_lists_what_was_done() {
    let folder = Folder::with(SHOP);
    let (document, code) = folder.json("compile --out out");
    assert_eq!(code, Some(0));
    assert_eq!(
        keys(&document),
        ["changed", "deployment", "diagnostics", "files", "folder", "left", "removed"]
    );
    assert_eq!(document["folder"], "out");
    let files = keys(&document["files"]);
    assert!(files.contains(&"box/compose.yaml"), "{files:?}");
    assert_eq!(document["changed"], json!(files));
    assert_eq!(folder.json("compile --out out").0["changed"], json!([]));
}

#[test]
fn what_failed_stays_as_it_last_was_and_what_is_gone_goes() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out").done();
    let page = folder.read("out/box/page/Dockerfile");

    let broken = SHOP.replace("[\"db.example.com\"", "[\"cb.example.com\"");
    folder.write("deployment.toml", &broken);
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stdout.contains("left out/box/page/Dockerfile\n"), "{}", ran.stdout);
    assert_eq!(folder.read("out/box/page/Dockerfile"), page);

    let start = SHOP.find("[functionality.page]").unwrap();
    let end = SHOP.find("[functionality.db]").unwrap();
    folder.write("deployment.toml", &(SHOP[..start].to_owned() + &SHOP[end..]));
    folder.write("out/box/notes.txt", "mine");
    let ran = folder.run("compile --out out").done();
    assert!(ran.stdout.contains("removed out/box/page/Dockerfile\n"), "{}", ran.stdout);
    assert!(!folder.path().join("out/box/page").exists());
    assert_eq!(folder.read("out/box/notes.txt"), "mine");
}

#[test]
fn a_file_that_cannot_be_understood_changes_nothing() {
    let folder = Folder::with(SHOP);
    folder.run("compile --out out").done();
    let before = folder.files("out");
    folder.write("deployment.toml", "version = 1\nname = ");
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stderr.contains("error[syntax-invalid]"), "{}", ran.stderr);
    assert_eq!(folder.files("out"), before);
}

#[test]
fn other_peoples_files_are_not_overwritten() {
    let folder = Folder::with(SHOP);
    folder.write("out/box/compose.yaml", "mine");
    let ran = folder.run("compile --out out").failed();
    assert!(ran.stderr.contains("`box/compose.yaml` is there already"), "{}", ran.stderr);
    assert_eq!(folder.files("out").len(), 1);
    let (document, _) = folder.json("compile --out out");
    assert_eq!(codes(&document), ["file-not-written"]);
}

/// Three functionalities on two targets of one network, and a load balancer.
const CLOUD: &str = r#"
version = 1
name = "cloud"

[location.singapore]
extensions.ec2 = { region = "ap-southeast-1", zones = ["ap-southeast-1a"] }

[network.private]
location = "singapore"
extensions.ec2.cidr = "10.0.0.0/16"

[target.first]
backend = "ec2"
network = "private"
extensions.ec2.instance-type = "m5.large"

[target.second]
backend = "ec2"
network = "private"

[load-balancer.front]
balances = "page.example.com"
source-port = 443
target-port = 80
extensions.ec2.healthy-threshold = 3

[functionality.page]
fqdn = "page.example.com"
machine.target = "first"
service.start = ["page"]
service.endpoints.http.port = 80
extensions.ec2.external-ports = [443]

[functionality.news]
machine.target = "second"
service.start = ["news"]

[functionality.shop]
machine.target = "second"
service.start = ["shop"]
"#;

/// What a deployment with one mistake is told.
fn told(right: &str, wrong: &str) -> Vec<(String, String, u64)> {
    let folder = Folder::with(&CLOUD.replacen(right, wrong, 1));
    let (document, code) = folder.json("compile --out out");
    assert_eq!(code, Some(1), "{document:#}");
    let findings = document["diagnostics"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    let line = |it: &serde_json::Value| it["place"]["line"].as_u64().unwrap();
    errors.map(|it| (text(&it["code"]), text(&it["message"]), line(it))).collect()
}

#[test]
fn a_deployment_on_ec2_without_a_mistake_is_told_nothing() {
    let (document, code) = Folder::with(CLOUD).json("compile --out out");
    assert_eq!((code, codes(&document)), (Some(0), Vec::new()), "{document:#}");
}

#[test]
fn a_misspelt_setting_is_told_once_whoever_it_concerns() {
    for (right, wrong) in [
        ("region = \"ap", "regoin = \"ap"),
        ("ec2.cidr", "ec2.cdir"),
        ("ec2.instance-type", "ec2.instence-type"),
        ("healthy-threshold", "healthy-treshold"),
        ("external-ports", "external-port"),
    ] {
        let told = told(right, wrong);
        let key = wrong.trim_start_matches("ec2.").split(' ').next().unwrap();
        let invalid: Vec<_> = told.iter().filter(|(_, what, _)| what.contains(key)).collect();
        assert_eq!(invalid.len(), 1, "{told:#?}");
        assert_eq!(invalid[0].0, "extension-invalid");
        let line = CLOUD.lines().position(|line| line.contains(right)).unwrap() as u64 + 1;
        assert_eq!(invalid[0].2, line, "{told:#?}");
        assert_eq!(told.len(), 1, "{told:#?}");
        let ran = Folder::with(&CLOUD.replacen(right, wrong, 1)).run("check").failed();
        let key = right.trim_start_matches("ec2.").split(' ').next().unwrap();
        assert!(ran.stderr.contains(&format!("= help: did you mean `{key}")), "{}", ran.stderr);
    }
}

#[test]
fn a_mistake_in_a_network_or_location_is_told_once_with_all_that_it_stops() {
    let all = "`load-balancer-front`, `news`, `page` and `shop` on `first` and `second` cannot be deployed";
    for (right, wrong, subject, what) in [
        (
            "ap-southeast-1\"",
            "singapore\"",
            "location `singapore`",
            "no region of AWS is named like",
        ),
        ("ap-southeast-1a", "eu-central-1a", "location `singapore`", "is not in region"),
        ("10.0.0.0/16", "10.0.0.0/8", "network `private`", "10.0.0.0/8 is not between /16 and /28"),
    ] {
        let folder = Folder::with(&CLOUD.replacen(right, wrong, 1));
        let ran = folder.run("check").failed();
        assert!(ran.stderr.contains(&format!("= note: so {all}\n")), "{}", ran.stderr);
        let told = told(right, wrong);
        let [(code, message, line)] = told.as_slice() else { panic!("{told:#?}") };
        assert_eq!(code, "not-compiled");
        assert!(message.starts_with(&format!("{subject}: ")), "{message}");
        assert!(message.contains(what), "{message}");
        let at = CLOUD.lines().position(|line| line.contains(right)).unwrap() as u64 + 1;
        assert_eq!(*line, at, "{message}");
    }
}
