//! What holds for every command: usage, streams, colours, hostile text.

use std::{io, process::Stdio};

use crate::support::{Folder, Ran, SHOP, codes};

const COMMANDS: [&str; 9] = [
    "check",
    "graph",
    "compile --out out",
    "plan",
    "deploy --yes",
    "status",
    "history",
    "destroy --yes",
    "forget rack --yes",
];

/// A file that cannot be read as a whole, so that every command has something to tell.
const BROKEN: &str = "version = 1\nname = \"shop\"\nnme = 1\n";

#[test]
fn wrong_usage_exits_with_2() {
    let folder = Folder::new();
    for arguments in ["", "chekc", "check --colour", "check a b", "plan --only", "deploy --plan"] {
        folder.run(arguments).wrong_usage();
    }
    folder.run("--help").done();
    folder.run("--version").done();
}

#[test]
fn a_file_that_is_not_there_is_told_with_a_way_on() {
    let folder = Folder::new();
    for command in COMMANDS {
        let ran = folder.run(command).failed();
        assert!(ran.stderr.contains("deployment.toml"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`deployix init`"), "{}", ran.stderr);
        let (document, code) = folder.json(command);
        assert_eq!((codes(&document), code), (vec!["file-unreadable"], Some(1)));
    }
}

#[test]
fn a_file_or_its_folder_can_be_named_in_any_format() {
    let folder = Folder::new();
    folder.write("shop/deployment.yaml", "version: 1\nname: shop\n");
    folder.write("other.json", "{\"version\": 1, \"name\": \"other\"}");
    assert!(folder.run("check shop").done().stdout.starts_with("shop: "));
    assert!(folder.run("check other.json").done().stdout.starts_with("other: "));
}

#[test]
fn every_command_prints_one_document_even_where_all_is_broken() {
    let folder = Folder::with(BROKEN);
    for command in COMMANDS {
        let (document, code) = folder.json(command);
        assert_eq!((codes(&document), code), (vec!["key-unknown"], Some(1)), "{command}");
    }
}

#[test]
fn findings_have_colours_only_where_they_are_wanted() {
    let folder = Folder::with(BROKEN);
    let coloured = |variables: &[&str]| {
        let mut command = folder.command(&["check"]);
        command.envs(variables.iter().map(|variable| (variable, "1")));
        Ran::from(command.output().unwrap()).stderr.contains('\u{1b}')
    };
    assert!(!coloured(&[]));
    assert!(coloured(&["CLICOLOR_FORCE"]));
    assert!(!coloured(&["CLICOLOR_FORCE", "NO_COLOR"]));
}

#[test]
fn hostile_text_and_names_do_nothing_to_the_terminal() {
    let folder = Folder::new();
    let escape = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
    let file = format!("evil{escape}.toml");
    folder.write(&file, &format!("version = 1\nname = \"{escape}\"\n"));
    let keys = "version = 1\nname = \"shop\"\n[functionality.\"\\u001b[2J\\u202e\"]\n\
                \"\\u001b[31m\" = \"\u{202e}\u{9b}\"\n";
    folder.write("keys.toml", keys);
    folder.write("yaml.yaml", "version: 1\nname: \"\\e[31m\u{202e}\"\n\"\\e[2J\": 1\n");
    for file in [&*file, "keys.toml", "yaml.yaml", "not-there-\u{1b}[31m.toml"] {
        for command in ["check", "graph", "plan"] {
            let ran = Ran::from(folder.command(&[command, file]).output().unwrap());
            assert_eq!(ran.code, Some(1));
            let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!ran.stderr.contains(acts), "{:?}", ran.stderr);
            assert!(!ran.stdout.contains(acts), "{:?}", ran.stdout);
            assert!(!ran.stderr.is_empty());
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = Folder::with(SHOP);
    let closed = || {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for arguments in [&["graph"][..], &["graph", "--json"], &["plan"], &["check"], &["--help"]] {
        let output = folder.command(arguments).stdout(closed()).output().unwrap();
        let ran = Ran::from(output);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    folder.write("deployment.toml", BROKEN);
    let status = folder.command(&["check"]).stdout(closed()).stderr(closed()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let folder = Folder::with(SHOP);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let ran = Ran::from(folder.command(&["graph"]).stdout(full).output().unwrap());
    assert!(ran.failed().stderr.contains("cannot write the result"));
}
