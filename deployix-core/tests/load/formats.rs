//! TOML, YAML and JSON: one shape, and each format's own traps.

use deployix_core::load::{Format, SpecFile, parse_catalog};
use proptest::prelude::*;

use crate::{catalog_problems, contents, toml};

fn yaml(text: &str) -> SpecFile {
    SpecFile::new("x.yaml", Format::Yaml, text.to_owned())
}

fn json(text: &str) -> SpecFile {
    SpecFile::new("x.json", Format::Json, text.to_owned())
}

const TOML: &str = include_str!("same/deployix.toml");
const YAML: &str = include_str!("same/deployix.yaml");
const JSON: &str = include_str!("same/deployix.json");

#[test]
fn the_same_catalog_in_every_format_is_the_same() {
    let read = [toml(TOML), yaml(YAML), json(JSON)].map(|file| parse_catalog(&file, None));
    for read in &read {
        assert_eq!(read.diagnostics.to_string(), "");
    }
    let [toml, yaml, json] = read.map(|read| contents(&read.value));
    assert!(toml.contains("hydra-web") && toml.contains("queue-runner"));
    assert_eq!(toml, yaml);
    assert_eq!(toml, json);
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let plain = contents(&parse_catalog(&toml(TOML), None).value);
    for text in [TOML.replace('\n', "\r\n"), format!("\u{feff}{TOML}")] {
        let read = parse_catalog(&toml(&text), None);
        assert_eq!(read.diagnostics.to_string(), "");
        assert_eq!(contents(&read.value), plain);
    }
    let found = catalog_problems(&toml("\u{feff}version = 1\r\nwhat = 3\r\n"));
    assert!(found.starts_with("x.toml:2:1: error[key-unknown]"), "{found}");
}

#[test]
fn a_key_given_twice_breaks_only_what_it_belongs_to() {
    let texts = [
        toml(
            "version = 1\n[functionality.a]\nfqdn = \"a.b\"\nfqdn = \"a.c\"\nservice.start = \
             [\"a\"]\n[functionality.b]\nservice.start = [\"b\"]\n",
        ),
        yaml(
            "version: 1\nfunctionality:\n  a:\n    fqdn: a.b\n    service: {start: [a]}\n    \
             fqdn: a.c\n  b: {service: {start: [b]}}\n",
        ),
        json(
            "{\"version\": 1,\n\"functionality\": {\n\"a\": {\n\"fqdn\": \"a.b\", \"fqdn\": \
             \"a.c\", \"service\": {\"start\": []}},\n\"b\": {\"service\": {\"start\": [\"b\"]}}}}",
        ),
    ];
    let expected = [
        "x.toml:4:1: error[name-taken]: `fqdn` is given twice; x.toml:3:1: first given here; \
         rename one of the two, or remove it",
        "x.yaml:6:5: error[name-taken]: `fqdn` is given twice; x.yaml:4:5: first given here; \
         rename one of the two, or remove it",
        "x.json:4:16: error[name-taken]: `fqdn` is given twice; x.json:4:1: first given here; \
         rename one of the two, or remove it",
    ];
    for (file, expected) in texts.iter().zip(expected) {
        let read = parse_catalog(file, None);
        assert_eq!(read.diagnostics.to_string(), expected);
        let names: Vec<_> = read.value.functionalities.iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["b"]);
        assert_eq!(read.value.unreadable.iter().next().map(|name| name.as_str()), Some("a"));
        assert!(!read.value.incomplete);
    }
}

#[test]
fn a_functionality_given_twice_in_toml_is_told_once() {
    let read = parse_catalog(
        &toml(
            "version = 1\n[functionality.a]\nfqdn = \"a.b\"\n[functionality.a.service]\nstart = \
             [\"a\"]\n[functionality.b.service]\nstart = [\"b\"]\n[functionality.a]\nfqdn = \
             \"c.d\"\n[functionality.a.service]\nstart = [\"x\"]\n",
        ),
        None,
    );
    assert_eq!(
        read.diagnostics.to_string(),
        "x.toml:8:16: error[name-taken]: `a` is given twice; x.toml:2:16: first given here; rename \
         one of the two, or remove it"
    );
    assert_eq!(read.value.functionalities.len(), 1);
    // Inline tables and dotted keys too.
    for (text, at) in [
        (
            "[functionality.a]\nservice = { user = \"a\", start = [{ b = 1 }], user = \"b\" }",
            "3:46",
        ),
        ("[functionality.a]\nservice.user = \"x\"\nservice.\"user\" = \"y\"", "4:9"),
        ("functionality.a.service.user = \"x\"\nfunctionality.a.service.user = \"y\"", "3:25"),
    ] {
        let file = toml(&format!("version = 1\n{text}"));
        let read = parse_catalog(&file, None);
        let found = read.diagnostics.to_string();
        assert!(found.contains(&format!("x.toml:{at}: error[name-taken]: `user`")), "{found}");
        assert_eq!(read.value.unreadable.len(), 1, "{found}");
    }
}

#[test]
fn every_syntax_error_of_a_toml_text_is_told_and_nothing_of_it_is_read() {
    let file = toml(
        "version = 1\n[functionality.a]\nservice.start = [\"x\"]\nreplicas = 1 2\n\
         [functionality.b]\nfqdn = \"x\n",
    );
    let read = parse_catalog(&file, None);
    let found: Vec<_> =
        read.diagnostics.iter().map(|d| (d.code.as_str(), d.place.clone())).collect();
    assert!(found.len() >= 2, "{}", read.diagnostics);
    assert!(found.iter().all(|(code, _)| *code == "syntax-invalid"));
    assert_eq!(found[0].1.as_ref().map(|place| (place.line, place.column)), Some((4, 12)));
    assert!(read.value.functionalities.is_empty() && read.value.incomplete);
}

#[test]
fn json_is_strict() {
    for (text, found) in [
        ("{ \"version\": 1, }", "x.json:1:17: error[syntax-invalid]: key must be a string"),
        ("{ \"version\": 1 } x", "x.json:1:18: error[syntax-invalid]: trailing characters"),
        ("{ // one\n\"version\": 1 }", "x.json:1:3: error[syntax-invalid]: key must be a string"),
        ("{\n\"version\": 01 }", "x.json:2:13: error[syntax-invalid]: invalid number"),
        (
            "{\"version\": 1,\n\"functionality\": {\"\\ud800\": {}}}",
            "x.json:2:19: error[syntax-invalid]: unexpected end of hex escape",
        ),
    ] {
        let found_now = catalog_problems(&json(text));
        assert!(found_now.starts_with(found), "{text}: {found_now}");
    }
}

#[test]
fn yaml_has_no_surprises_of_its_first_version() {
    let read = parse_catalog(
        &yaml(
            "version: 1\nfunctionality:\n  no:\n    service:\n      start: [yes, off, '1', 1e, \
             12:30, 0x, .5.5, _, =, \"\\x41\", !!str 12]\n      env: {A: &a on, B: *a}\n",
        ),
        None,
    );
    assert_eq!(read.diagnostics.to_string(), "");
    let contents = contents(&read.value);
    let start: String = contents.split_whitespace().collect();
    assert!(start.starts_with("no"), "{contents}");
    assert!(
        start.contains(
            "\"start\":[\"yes\",\"off\",\"1\",\"1e\",\"12:30\",\"0x\",\".5.5\",\"_\",\"=\",\"A\",\"12\"]"
        ),
        "{contents}"
    );
    assert!(start.contains("\"A\":\"on\",\"B\":\"on\""), "{contents}");
}

#[test]
fn what_yaml_has_and_a_spec_has_not_is_refused() {
    for (text, found) in [
        ("version: 1\n---\nversion: 1\n", "2:1: error[syntax-invalid]: a second document"),
        ("version: 1\n<<: {a: 1}\n", "2:1: error[syntax-invalid]: merge keys"),
        ("version: !!int 1\n", "1:10: error[syntax-invalid]: the tag `!!int` means nothing"),
        ("version: !x 1\n", "1:10: error[syntax-invalid]: the tag `!x` means nothing"),
        ("version: 1\n? [a]\n: 1\n", "2:3: error[syntax-invalid]: a key has to be a string"),
        ("a: &a [*a]\n", "1:8: error[syntax-invalid]: "),
        ("%YAML 1.1\n---\nversion: 1\n", "1:1: error[syntax-invalid]: "),
        ("version: 1\n\tx: 1\n", "1:10: error[syntax-invalid]: "),
        ("version: {}\n", "1:10: error[version-unsupported]"),
        (
            "version: 1\nfunctionality:\n",
            "2:14: error[value-invalid]: a table of keys is expected, \
          found nothing (null)",
        ),
    ] {
        let found_now = catalog_problems(&yaml(text));
        assert!(found_now.starts_with(&format!("x.yaml:{found}")), "{text}: {found_now}");
    }
}

#[test]
fn aliases_cannot_multiply_without_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        let row = [before.as_str(); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    let found = catalog_problems(&yaml(&text));
    assert!(found.contains("error[syntax-invalid]: aliases repeat more than"), "{found}");
}

#[test]
fn deep_nesting_is_told_in_every_format() {
    let deep = 200_000;
    let lists = |deep| format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let dotted = vec!["a"; deep].join(".");
    for (case, (file, line)) in [
        (toml(&format!("version = 1\nx = {}", lists(deep))), 2),
        (toml(&format!("version = 1\nx = {}", lists(70))), 2),
        (toml(&format!("version = 1\n{dotted} = 1")), 2),
        (toml(&format!("version = 1\n[{dotted}]\n{dotted} = {}", lists(deep))), 2),
        (json(&format!("{{\"version\": 1,\n\"x\": {}}}", lists(deep))), 2),
        (json(&format!("{{\"version\": 1,\n\"x\": {}}}", "{\"a\":".repeat(deep))), 2),
        (yaml(&format!("version: 1\nx: {}", lists(deep))), 2),
        (yaml(&format!("version: 1\nx: {}x", "- ".repeat(deep))), 2),
    ]
    .into_iter()
    .enumerate()
    {
        let read = parse_catalog(&file, None);
        let first = read.diagnostics.iter().next().unwrap();
        assert_eq!(first.place.as_ref().map(|place| place.line), Some(line), "{case}: {first}");
        assert!(first.message.len() < 300, "{}", first.message);
    }
}

proptest! {
    // What serde_json takes for JSON is JSON here, and nothing else.
    #[test]
    fn json_is_what_serde_json_says(text in "[\\[\\]{}\",:0-9eE+.\\-a\\\\u \n\t\u{b}\u{1}tr/*]{0,16}") {
        let well = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        let found = parse_catalog(&json(&text), None).diagnostics;
        let refused = found.iter().any(|d| d.code.as_str() == "syntax-invalid");
        prop_assert_eq!(!well, refused, "{}: {}", text, found);
    }

    // Whatever a string holds, it arrives, from each format as its own library writes it.
    #[test]
    fn strings_arrive_as_they_were_written(text in "[^\0]{0,40}") {
        let escaped = text.replace('$', "$$");
        let quoted = serde_json::to_string(&escaped).unwrap();
        let tomled = ::toml::Value::String(escaped.clone()).to_string();
        let expected = contents(&parse_catalog(&json(&format!(
            "{{\"version\":1,\"functionality\":{{\"a\":{{\"service\":{{\"start\":[{quoted}]}}}}}}}}"
        )), None).value);
        let quoted_value: serde_json::Value = serde_json::from_str(&quoted).unwrap();
        prop_assert!(expected.contains(&quoted_value.to_string()));
        let from_toml = parse_catalog(
            &toml(&format!("version = 1\nfunctionality.a.service.start = [{tomled}]")), None);
        prop_assert_eq!(contents(&from_toml.value), expected, "{}", from_toml.diagnostics);
    }
}
