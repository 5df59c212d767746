//! What a machine is told at its first boot, so that it runs Docker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use deployix_core::backend::UserDataPart;

use crate::stage::{server, told};

#[test]
fn a_machine_is_told_its_project_with_addresses_that_come_later() {
    let told = told(server(80)).unwrap();
    let later: Vec<_> =
        told.parts.iter().filter(|part| matches!(part, UserDataPart::Address(_))).collect();
    assert_eq!(later.len(), 1);
    let text: String = told
        .parts
        .iter()
        .map(|part| match part {
            UserDataPart::Text(text) => text.clone(),
            other => format!("<<{other:?}>>"),
        })
        .collect();
    insta::assert_snapshot!(text);
}

#[test]
fn state_that_would_go_with_its_machine_is_refused() {
    let error = told(server(80).state("/var/lib/web")).unwrap_err();
    assert!(error.to_string().contains("does not outlive it"), "{error}");
    let error = told(server(80).schedule("hourly")).unwrap_err();
    assert!(error.to_string().contains("does not outlive it"), "{error}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let bytes = deployix_core::spec::FileContent::plain([0, 255]);
    let error = told(server(80).ship("image.png", bytes)).unwrap_err();
    assert!(error.to_string().contains("text alone"), "{error}");
}
