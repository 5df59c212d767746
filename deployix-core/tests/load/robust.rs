//! Whatever the bytes, nothing panics, and every finding has its place.

use std::fs;

use deployix_core::{
    diagnostic::Diagnostics,
    load::{Format, SpecFile, load_catalog, parse_catalog, parse_deployment, parse_infrastructure},
};
use proptest::prelude::*;

const TEXTS: [(Format, &str, &str); 5] = [
    (Format::Toml, "x.toml", include_str!("same/deployix.toml")),
    (Format::Yaml, "x.yaml", include_str!("same/deployix.yaml")),
    (Format::Json, "x.json", include_str!("same/deployix.json")),
    (Format::Toml, "x.toml", include_str!("interface/infrastructure.toml")),
    (Format::Toml, "x.toml", include_str!("interface/deployment.toml")),
];

fn check(found: &Diagnostics, text: &str) {
    for finding in found {
        let place = finding.place.as_ref().unwrap();
        assert!(place.line >= 1 && place.column >= 1 && place.length >= 1, "{finding}");
        assert!(place.line <= text.matches('\n').count() + 1, "{finding}");
        assert!(finding.message.len() < 1_000, "{}", finding.message);
        assert!(!finding.message.is_empty());
    }
}

fn read_as_anything(format: Format, name: &str, text: &str) {
    let file = SpecFile::new(name, format, text.to_owned());
    check(&parse_catalog(&file, None).diagnostics, text);
    check(&parse_infrastructure(&file).diagnostics, text);
    let read = parse_deployment(&file, None);
    check(&read.diagnostics, text);
    assert!(read.value.is_some() || read.diagnostics.has_errors());
    // Places that are asked for later are found, or not, as well.
    for path in [&["functionality", "hydra-web", "service", "start", "1"][..], &["x", "y"], &[]] {
        let _ = file.source().place(path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        for ending in ["toml", "yaml", "json"] {
            let path = folder.path().join(format!("x.{ending}"));
            fs::write(&path, &bytes).unwrap();
            let read = load_catalog(&path);
            check(&read.diagnostics, &String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn arbitrary_text_is_read_or_told(text in "[\\PC\n\t\"'\\[\\]{}:=#&*!|>-]{0,120}") {
        for (format, name, _) in TEXTS {
            read_as_anything(format, name, &text);
        }
    }

    #[test]
    fn valid_files_with_damage_are_read_or_told(
        which in 0..TEXTS.len(),
        at in any::<prop::sample::Index>(),
        cut in 0..40usize,
        put in "[\\[\\]{}\"'=:,.#\n\t &*!|>$a0é\0-]{0,6}",
    ) {
        let (format, name, text) = TEXTS[which];
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + cut).min(characters.len());
        let damaged: String = characters[..start]
            .iter()
            .copied()
            .chain(put.chars())
            .chain(characters[end..].iter().copied())
            .collect();
        read_as_anything(format, name, &damaged);
    }

    // A value of a wrong type anywhere is told, whatever type it is.
    #[test]
    fn a_wrong_value_anywhere_is_read_or_told(
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "true", "3", "-1", "1e300", "18446744073709551615", "\"\"", "\"\\u0000\"",
            "[]", "[[]]", "{}", "{\"\": 1}", "\"${secret:\"",
        ]),
    ) {
        let mut json: serde_json::Value = serde_json::from_str(TEXTS[2].2).unwrap();
        let mut paths = Vec::new();
        collect(&json, String::new(), &mut paths);
        let path = &paths[at.index(paths.len())];
        *json.pointer_mut(path).unwrap() = serde_json::from_str(value).unwrap();
        read_as_anything(Format::Json, "x.json", &json.to_string());
    }
}

fn collect(json: &serde_json::Value, path: String, paths: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match json {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                collect(value, format!("{path}/{}", escape(key)), paths);
            }
        }
        serde_json::Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(value, format!("{path}/{at}"), paths);
            }
        }
        _ => {}
    }
    paths.push(path);
}

#[test]
fn thousands_of_findings_are_told_in_good_time() {
    let mut text = "{\"version\": 1, \"functionality\": {".to_owned();
    for number in 0..5_000 {
        text.push_str(&format!("\"web-{number}\": {{\"service\": 3}}, "));
    }
    text.push_str("\"last\": {}}}");
    let file = SpecFile::new("x.json", Format::Json, text);
    let read = parse_catalog(&file, None);
    assert_eq!(read.diagnostics.len(), 5_001);
    // The line is too long to be shown, once or five thousand times.
    assert!(
        read.diagnostics.iter().all(|finding| finding.place.as_ref().unwrap().excerpt.is_empty())
    );
}
