//! `deployix plan`.

use serde_json::json;

#[cfg(feature = "ec2")]
use crate::support::Ran;
use crate::support::{Folder, SHOP, SHUFFLED, codes, keys};

#[test]
fn against_nothing_everything_is_made() {
    let ran = Folder::with(SHOP).run("plan").done();
    let text = &ran.stdout;
    for line in ["db", "page", "page → db", "  + create docker/box/instance/page"] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let created = text.matches("+ create").count();
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        format!("{created} to create, 0 to update, 0 to replace, 0 to remove; 0 unchanged")
    );
}

#[test]
fn the_document_is_the_plan() {
    let (document, code) = Folder::with(SHOP).json("plan");
    assert_eq!(code, Some(0));
    assert_eq!(
        keys(&document),
        [
            "blocked",
            "data-kept",
            "diagnostics",
            "drift",
            "generation",
            "held",
            "kept",
            "left",
            "steps",
            "waiting"
        ]
    );
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(keys(&steps[0]), ["action", "after", "changes", "owner", "resource", "target"]);
    assert!(steps.iter().all(|step| step["action"] == "create"));
    // Every step comes after what it needs.
    for (at, step) in steps.iter().enumerate() {
        for before in step["after"].as_array().unwrap() {
            assert!(steps[..at].iter().any(|earlier| earlier["resource"] == *before), "{step}");
        }
    }
    assert_eq!(Folder::with(SHUFFLED).json("plan").0, document);
}

#[test]
fn permissions_are_told_where_that_is_asked_for() {
    let (document, code) = Folder::with(SHOP).json("plan --check-permissions");
    assert_eq!(code, Some(0));
    assert_eq!(document["permissions"], json!({ "denied": [], "unasked": [] }));
}

#[test]
fn changes_show_in_the_exit_code_where_that_is_asked_for() {
    let folder = Folder::with(SHOP);
    assert_eq!(folder.run("plan --exit-code").code, Some(3));
    assert_eq!(folder.json("plan --exit-code").1, Some(3));
    folder.write("deployment.toml", "version = 1\nname = \"empty\"\n");
    let ran = folder.run("plan --exit-code");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "no changes; 0 unchanged\n"), "{ran:?}");
    // What is invalid weighs more than what changes.
    folder.write("deployment.toml", &SHOP.replace("service.start = [\"db\"]", "strat = 1"));
    folder.run("plan --exit-code").failed();
}

#[test]
fn only_what_is_named_and_what_it_needs_is_planned() {
    let folder = Folder::with(SHOP);
    let all = folder.json("plan").0["steps"].as_array().unwrap().len();
    let (document, _) = folder.json("plan --only db");
    let steps = document["steps"].as_array().unwrap();
    assert!(!steps.is_empty() && steps.len() < all, "{document}");
    let page = json!({"functionality": "page"});
    assert!(steps.iter().all(|step| step["owner"] != page), "{document}");
    let (both, _) = folder.json("plan --only db --only page");
    assert!(both["steps"].as_array().unwrap().len() > steps.len());
}

#[test]
fn a_name_that_nothing_has_is_told_with_the_nearest() {
    let folder = Folder::with(SHOP);
    let ran = folder.run("plan --only pgae").failed();
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("did you mean `page`?"), "{}", ran.stderr);
    let (document, code) = folder.json("plan --only pgae");
    assert_eq!((codes(&document), code), (vec!["reference-unknown"], Some(1)));
    folder.run("plan --only Not/a/name").wrong_usage();
}

#[test]
fn what_failed_is_named_as_left() {
    let text = SHOP.replace("[\"db.example.com\"", "[\"cb.example.com\"");
    let folder = Folder::with(&text);
    let ran = folder.run("plan").failed();
    assert!(ran.stdout.contains("docker/box/image/db"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("left as it is, since it failed: page\n"), "{}", ran.stdout);
    assert_eq!(folder.json("plan --only page").0["left"], json!(["page"]));
}

#[test]
fn what_is_blocked_by_a_mistake_elsewhere_is_told_from_what_is_wrong_itself() {
    let wrong = SHOP.replace("service.start = [\"db\"]", "service.strat = [\"db\"]");
    let folder = Folder::with(&wrong);
    let ran = folder.run("plan").failed();
    let told = "left as it is, since it failed: db\n\
                blocked and left as it is, since what it needs failed: page\n";
    assert!(ran.stdout.ends_with(told), "{}", ran.stdout);
    assert_eq!(ran.stderr.matches("error[").count(), 1, "{}", ran.stderr);
    let (document, code) = folder.json("plan --exit-code");
    assert_eq!(code, Some(1));
    assert_eq!(
        (&document["left"], &document["blocked"]),
        (&json!(["db", "page"]), &json!(["page"]))
    );
    let ran = folder.run("deploy --yes --no-refresh").failed();
    let row =
        |name: &str| ran.stdout.lines().find(|line| line.starts_with(name) && line.contains('✘'));
    assert!(row("db ").is_some_and(|row| row.contains("✘ left as it was")), "{}", ran.stdout);
    assert!(row("page ").is_some_and(|row| row.contains("✘ blocked")), "{}", ran.stdout);
}

#[test]
fn a_name_that_may_be_in_a_catalog_that_could_not_be_read_is_not_called_unknown() {
    let named = SHOP.replace("name = \"shop\"", "name = \"shop\"\ncatalogs = [\"more.toml\"]");
    let folder = Folder::with(&named);
    folder.write("more.toml", "version = 1\n[functionality.news\n");
    let ran = folder.run("plan --only news").failed();
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr.matches("error[").count(), 1, "{}", ran.stderr);
    let note = "= note: so it is not known whether there is a functionality `news`\n";
    assert!(ran.stderr.contains(note), "{}", ran.stderr);
}

#[test]
fn a_plan_is_saved_for_its_owner_alone_and_takes_nothing_elses_place() {
    let folder = Folder::with(SHOP);
    folder.run("plan --out plan.json").done();
    let saved = folder.read("plan.json");
    assert!(saved.starts_with("{\"kind\":\"deployix-plan\",\"format\":1,"), "{saved}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("plan.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    folder.run("plan --out plan.json --only db").done();
    assert!(folder.read("plan.json").len() < saved.len(), "a plan takes a plan's place");
    let ran = folder.run("plan --out deployment.toml").failed();
    assert!(ran.stderr.contains("is no plan"), "{}", ran.stderr);
    assert_eq!(folder.read("deployment.toml"), SHOP);
    assert_eq!(folder.files("").len(), 2, "nothing is left beside, and no history was made");
}

#[test]
#[cfg(feature = "ec2")]
fn a_profile_that_is_not_there_is_named_beside_those_that_are() {
    let folder = Folder::with(&SHOP.replace("\"docker\"", "\"ec2\""));
    folder.write("aws", "[profile staging]\nregion = eu-central-1\n");
    let mut command = folder.command(&["plan", "--refresh"]);
    command.env("AWS_CONFIG_FILE", "aws").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command.env("AWS_PROFILE", "stagin").env_remove("AWS_REGION");
    let ran = Ran::from(command.output().unwrap()).failed();
    let told = "there is no profile `stagin`; those that there are: `staging`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(ran.stderr.contains("`AWS_PROFILE`"), "{}", ran.stderr);
}
