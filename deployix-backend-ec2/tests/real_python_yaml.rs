//! User data as PyYAML reads it back, which is what cloud-init reads it with.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use deployix_backend_ec2::user_data::{
    cloud_config::{CloudConfig, Content, WriteFile},
    text::Text,
};
use deployix_core::AbsolutePath;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Reads documents back with the real parser, all in one run of it.
fn read_back(documents: &[String]) -> Vec<Value> {
    const SCRIPT: &str = "import json,sys,yaml\n\
        print(json.dumps([yaml.safe_load(d) for d in json.load(sys.stdin)]))";
    let python = std::env::var("DEPLOYIX_PYTHON")
        .expect("DEPLOYIX_PYTHON names no python with PyYAML: run scripts/test");
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python does not start: run scripts/test");
    let input = serde_json::to_vec(documents).unwrap();
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "PyYAML refuses a document");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn config(texts: &[String]) -> CloudConfig {
    let path = AbsolutePath::new("/etc/x").unwrap();
    let file = |text: &String| WriteFile {
        path: path.clone(),
        mode: 0o644,
        append: false,
        content: Content::Text(Text::from(text.as_str())),
    };
    CloudConfig {
        hostname: Some(texts.concat()),
        packages: texts.to_vec(),
        files: texts.iter().map(file).collect(),
        commands: vec![texts.to_vec(), texts.to_vec()],
        ..CloudConfig::default()
    }
}

fn survives(all: &[Vec<String>]) {
    let documents: Vec<_> =
        all.iter().map(|texts| config(texts).print().as_known().unwrap().to_owned()).collect();
    for (texts, read) in all.iter().zip(read_back(&documents)) {
        assert_eq!(read["hostname"], json!(texts.concat()));
        assert_eq!(read["runcmd"], json!([texts, texts]));
        assert_eq!(read["packages"], json!(texts));
        let files = read["write_files"].as_array().unwrap();
        let contents: Vec<_> = files.iter().map(|file| file["content"].clone()).collect();
        assert_eq!(json!(contents), json!(texts));
        assert_eq!(files[0]["permissions"], json!("0644"));
    }
}

#[test]
fn strings_that_yaml_likes_to_change_survive() {
    let hostile = [
        "",
        " ",
        "\n",
        "\n\n",
        "no",
        "1e3",
        "0o17",
        "0644",
        "~",
        "- a\n- b\n",
        "a: b\n",
        "a\nb\n",
        "a\nb",
        "a\n\nb\n\n",
        " a\nb\n",
        "a\n \nb\n",
        "a\nb \n",
        "\ta\nb\n",
        "a\r\nb\r\n",
        "#x\ny\n",
        "\"'`${HOME}$(id)%h\\",
        "\u{85}\u{2028}\u{2029}\u{feff}\0\u{7f}\u{9f}",
        "\u{1f600}é",
        "{{ jinja }}",
        "---\n...\n",
        "| >\n",
        "!!python/object:x\n",
    ];
    let long = "'\"$(`\\\n é\u{1f600}".repeat(10_000);
    let mut all: Vec<_> = hostile.iter().map(|text| vec![(*text).to_owned()]).collect();
    all.push(vec![long]);
    survives(&all);
}

#[test]
fn bytes_that_are_no_text_survive_as_base64() {
    let path = AbsolutePath::new("/etc/x").unwrap();
    let content = Content::from([0xff, 0, b'\n'].as_slice());
    let file = WriteFile { path, mode: 0o600, append: false, content };
    let config = CloudConfig { files: vec![file], ..CloudConfig::default() };
    let read = read_back(&[config.print().as_known().unwrap().to_owned()]);
    let expected = json!({
        "path": "/etc/x", "permissions": "0600", "encoding": "b64", "content": "/wAK",
    });
    assert_eq!(read[0]["write_files"][0], expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn any_strings_survive(
        all in prop::collection::vec(
            prop::collection::vec("(?s).{0,40}|[ \n:#a'\"|>{}-]{0,12}|([ a]{0,3}\n){0,4}", 1..4),
            100,
        )
    ) {
        survives(&all);
    }
}
