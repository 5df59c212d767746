//! Units as systemd itself reads them back.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{collections::BTreeMap, fs, path::Path, process::Command as Process};

use deployix_backend_ec2::user_data::unit_file::{Command, Setting, UnitFile};
use proptest::prelude::*;

/// What systemd says about a unit: its complaints, its environment and its command lines, each
/// with its words.
struct Read {
    complaints: Vec<String>,
    environment: String,
    commands: Vec<String>,
}

fn read_back(unit: &UnitFile) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hostile.service");
    fs::write(&file, unit.print()).unwrap();
    let verify = |level: &str| {
        // A user's manager needs fewer rights to be simulated than the system's.
        Process::new("systemd-analyze")
            .args(["verify", "--user", "--recursive-errors=no"])
            .arg(&file)
            .env("SYSTEMD_LOG_LEVEL", level)
            .env("SYSTEMD_LOG_TARGET", "console")
            .env("SYSTEMD_LOG_COLOR", "0")
            .env("XDG_RUNTIME_DIR", folder.path())
            .output()
            .expect("systemd-analyze does not start: run scripts/test")
    };
    let complaints = String::from_utf8(verify("warning").stderr).unwrap();
    let complaints = complaints.lines().filter(|line| concerns(line, &file)).map(str::to_owned);
    let debug = verify("debug");
    let dump = String::from_utf8([debug.stdout, debug.stderr].concat()).unwrap();
    let environment = dump.split_once("\t\tEnvironment: ").map(|(_, rest)| rest.to_owned());
    let commands = dump.lines().filter_map(|line| line.trim_start().strip_prefix("Command Line: "));
    Read {
        complaints: complaints.collect(),
        environment: environment.unwrap_or_default(),
        commands: commands.map(str::to_owned).collect(),
    }
}

/// That the program of a test is not installed is no fault of the unit.
fn concerns(line: &str, file: &Path) -> bool {
    let file = file.file_name().and_then(|name| name.to_str()).unwrap();
    line.contains(file) && !line.contains("is not executable")
}

fn service(words: &[String], value: &str) -> UnitFile {
    let command = Command::new(["/bin/echo".to_owned()].into_iter().chain(words.iter().cloned()));
    let environment = Setting::Environment { name: "HOSTILE".into(), value: value.to_owned() };
    let settings =
        [("ExecStart", Setting::Command(command.unwrap())), ("Environment", environment)];
    UnitFile::default().section("Service", settings)
}

/// Words as the shell reads the quoted form in which systemd prints a command line.
fn words_of(printed: &str) -> Vec<String> {
    let script = format!("printf '%s\\0' {}", to_bash(printed));
    let output = Process::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{printed}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// systemd prints `"…"` with the C escapes that bash knows in `$'…'`, and escapes the dollar sign
/// and the grave accent, which bash does not want there.
fn to_bash(printed: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut characters = printed.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                text.push_str(if quoted { "'" } else { "$'" });
                quoted = !quoted;
            }
            '\\' => match characters.next() {
                Some(plain @ ('$' | '`')) => text.push(plain),
                Some(escaped) => text.extend(['\\', escaped]),
                None => panic!("a backslash ends {printed}"),
            },
            '\'' => text.push_str("\\'"),
            // systemd leaves a few characters bare that mean something to bash, such as `#`.
            bare if !quoted && bare.is_ascii_punctuation() => text.extend(['\\', bare]),
            plain => text.push(plain),
        }
    }
    text
}

fn survives(words: &[String], value: &str) {
    let read = read_back(&service(words, value));
    assert_eq!(read.complaints, Vec::<String>::new(), "{words:?} {value:?}");
    let [printed] = read.commands.as_slice() else { panic!("{:?}", read.commands) };
    assert_eq!(words_of(printed)[1..], *words);
    assert!(read.environment.starts_with(&format!("HOSTILE={value}\n")), "{value:?}");
}

#[test]
fn strings_that_systemd_likes_to_change_survive() {
    for text in [
        "",
        " ",
        "a b",
        "%n%%",
        "$HOME ${HOME}",
        "$$",
        ";",
        "\\;",
        "\\",
        "a\\",
        "\"'`",
        "\n[Unit]\nX=y",
        "\t\r\u{1}\u{7f}",
        "é\u{1f600}\u{2028}",
        "#",
        "-x",
        "=",
        "\\x41\\u0041",
        "{a,b}*?",
    ] {
        survives(&[text.to_owned(), text.to_owned()], text);
    }
}

#[test]
fn a_hundred_thousand_bytes_survive() {
    let long = "'\"$(`\\\n é%n".repeat(8_000);
    survives(std::slice::from_ref(&long), &long);
}

#[test]
fn a_description_cannot_start_another_setting() {
    let hostile = "a\nExecStart=/bin/false\\\n%n".to_owned();
    let unit =
        UnitFile::default().section("Unit", [("Description", Setting::Text(hostile))]).section(
            "Service",
            [("ExecStart", Setting::Command(Command::new(["/bin/true"]).unwrap()))],
        );
    let read = read_back(&unit);
    assert_eq!(read.commands, ["/bin/true"]);
    assert_eq!(read.complaints, Vec::<String>::new());
}

#[test]
fn the_oracle_complains_about_what_is_wrong() {
    let wrong = BTreeMap::from([("ExecStart", "/bin/true"), ("NoSuchSetting", "yes")]);
    let settings = wrong.into_iter().map(|(key, value)| (key, Setting::word(value)));
    assert!(!read_back(&UnitFile::default().section("Service", settings)).complaints.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_strings_survive(
        words in prop::collection::vec("[^\0]{0,30}|[ '\"$`\\\\\n%;{}-]{0,8}", 0..4),
        value in "[^\0]{0,30}|[ '\"$`\\\\\n%;{}-]{0,8}",
    ) {
        survives(&words, &value);
    }
}
