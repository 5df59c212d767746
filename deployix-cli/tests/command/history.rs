//! `deployix history`, and histories that are not as they were written.

use crate::support::{Folder, RACK, codes, keys};

fn with_history() -> Folder {
    let folder = Folder::with(RACK);
    folder.pretend(&folder.planned(""), "anna", |id| id.contains("functionality"));
    folder
}

#[test]
fn where_nothing_was_done_nothing_happened() {
    let folder = Folder::with(RACK);
    assert_eq!(folder.run("history").done().stdout, "nothing happened yet\n");
    assert!(!folder.path().join("history").exists());
}

#[test]
fn what_happened_is_told_with_who_when_and_what() {
    let folder = with_history();
    let text = folder.run("history").done().stdout;
    for part in ["generations 1 to 1, 20", "anna on ", "page: made 1 resource", "db: made 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = folder.run("history page").done().stdout;
    assert!(text.contains("page: made") && !text.contains("db: made"), "{text}");
    assert_eq!(folder.run("history nobody").done().stdout, "nothing happened to `nobody`\n");
    let all = folder.run("history").stdout;
    assert_eq!(folder.run("history deployment.toml").stdout, all);
    assert_eq!(folder.run("history page ./deployment.toml").stdout, text);
    folder.run("history a.toml b.toml").wrong_usage();

    let (document, code) = folder.json("history");
    assert_eq!(code, Some(0));
    assert_eq!(keys(&document), ["deployment", "diagnostics", "entries", "story"]);
    assert_eq!(document["entries"][0]["position"], 1);
}

#[test]
fn a_history_that_is_not_as_it_was_written_is_named_and_left_as_it_is() {
    let folder = with_history();
    let entry = folder.files("history").into_keys().next().unwrap();
    let whole = folder.read(&format!("history/{}", entry.display()));
    for damaged in [&whole[..whole.len() / 2], "", "not JSON\n", &whole.replace("anna", "bert")] {
        folder.write(&format!("history/{}", entry.display()), damaged);
        let before = folder.files("history");
        let commands = [
            "plan",
            "deploy --yes",
            "status",
            "history",
            "destroy --yes",
            "deploy --plan plan.json",
        ];
        for command in commands {
            let ran = folder.run(command).failed();
            assert!(ran.stderr.contains(&entry.display().to_string()), "{command}: {}", ran.stderr);
            let (document, _) = folder.json(command);
            assert!(codes(&document).contains(&"history-unusable"), "{command}: {document:#}");
        }
        assert_eq!(folder.files("history"), before);
    }
}

#[test]
fn a_history_may_be_elsewhere() {
    let folder =
        Folder::with(&RACK.replace("name = \"shop\"", "name = \"shop\"\nhistory = \"file:past\""));
    folder.run("deploy --yes").failed();
    assert!(folder.path().join("past/shop").exists());
    folder.write(
        "deployment.toml",
        &RACK.replace("name = \"shop\"", "name = \"shop\"\nhistory = \"ftp://past\""),
    );
    let (document, code) = folder.json("plan");
    assert_eq!((codes(&document), code), (vec!["history-unusable"], Some(1)));
}
