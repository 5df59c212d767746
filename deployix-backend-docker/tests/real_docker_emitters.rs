//! Every byte of a hostile value is read back by the real tools: Compose and the engine's builder.
//!
//! These tests need a Docker engine and the Compose plugin; `scripts/test` brings both.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../src/hostile.rs"]
mod hostile;

#[expect(dead_code, reason = "each test binary uses its part")]
mod real;

use std::collections::BTreeMap;

use deployix_backend_docker::compose::{Compose, Healthcheck, Service};
use deployix_backend_docker::dockerfile::{Copy, Dockerfile, From, Instruction, Stage};
use proptest::prelude::*;
use serde_json::Value;

use crate::real::{docker, docker_json};

/// A project whose services hold the texts wherever a text can stand.
fn project(texts: &[String]) -> Compose {
    let service = |text: &String| Service {
        image: Some("debian:bookworm-slim".into()),
        entrypoint: vec!["/bin/true".into(), text.clone()],
        command: vec![text.clone(), "--".into(), text.clone()],
        environment: [("VALUE".to_owned(), text.clone())].into(),
        labels: [("value".to_owned(), text.clone()), (format!("key {text}"), String::new())].into(),
        healthcheck: Some(Healthcheck {
            command: vec!["/bin/true".into(), text.clone()],
            interval: 1500,
            timeout: 1000,
            retries: 3,
            start_period: 0,
        }),
        ..Service::default()
    };
    Compose {
        name: "deployix-test-emitters".into(),
        services: texts
            .iter()
            .enumerate()
            .map(|(index, text)| (format!("s{index}"), service(text)))
            .collect(),
        ..Compose::default()
    }
}

/// What `docker compose config` understood, as JSON. It prints its own dollar signs doubled.
fn config(compose: &Compose) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    std::fs::write(&file, compose.print().unwrap()).unwrap();
    let arguments = ["compose", "--file", file.to_str().unwrap(), "config", "--format", "json"];
    docker_json(&arguments)
}

fn undollared(value: &Value) -> String {
    value.as_str().unwrap().replace("$$", "$")
}

fn check_config(texts: &[String]) {
    let config = config(&project(texts));
    for (index, text) in texts.iter().enumerate() {
        let service = &config["services"][format!("s{index}")];
        assert_eq!(undollared(&service["entrypoint"][1]), *text);
        assert_eq!(undollared(&service["command"][0]), *text);
        assert_eq!(undollared(&service["command"][2]), *text);
        assert_eq!(undollared(&service["environment"]["VALUE"]), *text);
        assert_eq!(undollared(&service["labels"]["value"]), *text);
        assert_eq!(undollared(&service["healthcheck"]["test"][2]), *text);
        let key = format!("key {text}");
        let keys = service["labels"].as_object().unwrap();
        assert!(keys.contains_key(&key) || keys.contains_key(&key.replace('$', "$$")), "{keys:?}");
    }
}

/// Builds an image of the steps, starting from nothing unless `base` is given, and returns what
/// `docker image inspect` says of it.
fn build(base: &str, steps: Vec<Instruction>, context: &[(&str, &str)]) -> (real::Image, Value) {
    let stage = Stage { from: From::Image(base.into()), name: None, steps };
    let file = Dockerfile { comment: vec!["A test.".into()], stages: vec![stage] };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Dockerfile"), file.print().unwrap()).unwrap();
    for (name, text) in context {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let image = real::Image::build(folder.path());
    let inspected = docker_json(&["image", "inspect", image.id()]);
    (image, inspected[0].clone())
}

/// Checks the exec forms with all texts and the words with those at `words`.
fn check_image(texts: &[String], words: std::ops::Range<usize>) {
    let mut steps = vec![Instruction::Entrypoint(texts.to_vec()), Instruction::Cmd(texts.to_vec())];
    let words = || {
        let texts = texts.iter().enumerate().take(words.end).skip(words.start);
        texts.filter(|(_, text)| !text.contains('\n'))
    };
    for (index, text) in words() {
        steps.push(Instruction::Env { name: format!("k{index}"), value: text.clone() });
    }
    let labels = words().map(|(index, text)| (format!("k{index}"), text.clone()));
    steps.push(Instruction::Label(labels.collect()));
    let (_image, inspected) = build("scratch", steps, &[]);
    let list = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list(&inspected["Config"]["Entrypoint"]), texts);
    assert_eq!(list(&inspected["Config"]["Cmd"]), texts);
    let variables = list(&inspected["Config"]["Env"]);
    let variables: BTreeMap<&str, &str> =
        variables.iter().filter_map(|variable| variable.split_once('=')).collect();
    for (index, text) in words() {
        assert_eq!(inspected["Config"]["Labels"][format!("k{index}")].as_str(), Some(&**text));
        assert_eq!(variables[format!("k{index}").as_str()], text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn compose_reads_back_every_byte(texts in hostile::texts(1..150)) {
        check_config(&texts);
    }

    #[test]
    fn the_builder_reads_back_every_byte(texts in hostile::texts(1..12)) {
        check_image(&texts, 0..texts.len());
    }
}

#[test]
fn values_of_100_kb_survive() {
    let texts = hostile::long(100_000);
    check_config(&texts);
    // The classic builder takes a second for each word of this length: the worst one is enough.
    check_image(&texts[1..5], 0..1);
}

#[test]
fn containers_are_made_with_every_byte() {
    let mut texts: Vec<String> =
        ["\"", "'", "${HOME}", "$$", "''${x}", "a\nb", "$(id)", "\r", "\t", "日本😀", "#", " "]
            .map(str::to_owned)
            .to_vec();
    texts.extend(hostile::long(100_000).into_iter().take(3));
    let file_folder = tempfile::tempdir().unwrap();
    let file = file_folder.path().join("compose.yaml");
    std::fs::write(&file, project(&texts).print().unwrap()).unwrap();
    let project = real::Project::new(&file);
    project.compose(&["create"]);
    for (index, text) in texts.iter().enumerate() {
        let id = project.compose(&["ps", "--all", "--quiet", &format!("s{index}")]);
        let inspected = &docker_json(&["inspect", id.trim()])[0]["Config"];
        assert_eq!(inspected["Cmd"][0].as_str(), Some(&**text));
        assert_eq!(inspected["Labels"]["value"].as_str(), Some(&**text));
        assert_eq!(inspected["Labels"][format!("key {text}")].as_str(), Some(""));
        let variable = format!("VALUE={text}");
        let variables = inspected["Env"].as_array().unwrap();
        assert!(variables.iter().any(|found| found.as_str() == Some(&variable)), "{text:?}");
    }
}

#[test]
fn run_and_copy_hand_on_every_byte() {
    let texts: Vec<String> =
        ["\"", "'", "${HOME}", "$$", "a\nb", "$(id)", "<<EOF", "\\", "\r", "日本😀", "# x", " "]
            .map(str::to_owned)
            .to_vec();
    let script = "printf '%s\\0' \"$@\" >/read-back";
    let argv = ["/bin/sh", "-c", script, "sh"].map(str::to_owned).into_iter().chain(texts.clone());
    let name = "a [b]*?\"$HOME'\\ é";
    let steps = vec![
        Instruction::Run(argv.collect()),
        Instruction::Copy(Copy {
            source: "file".into(),
            destination: format!("/copied {name}"),
            chown: Some("65534:65534".into()),
            from: None,
        }),
        Instruction::User("65534:65534".into()),
        Instruction::Workdir("/work ${HOME} \"'\\".into()),
        Instruction::StopSignal("SIGINT".into()),
        Instruction::Expose { port: 80, protocol: "tcp" },
    ];
    let (image, inspected) = build("debian:bookworm-slim", steps, &[("file", "content")]);
    let read = |path: &str| docker(&["run", "--rm", "--network=none", image.id(), "cat", path]);
    let expected: String = texts.iter().flat_map(|text| [text, "\0"]).collect();
    assert_eq!(read("/read-back"), expected);
    assert_eq!(read(&format!("/copied {name}")), "content");
    assert_eq!(inspected["Config"]["User"], "65534:65534");
    assert_eq!(inspected["Config"]["WorkingDir"], "/work ${HOME} \"'\\");
    assert_eq!(inspected["Config"]["StopSignal"], "SIGINT");
    assert!(inspected["Config"]["ExposedPorts"]["80/tcp"].is_object());
}
