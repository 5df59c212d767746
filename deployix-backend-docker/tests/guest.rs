//! What a machine is told at its first boot, so that it runs Docker.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test binary uses its part")]
mod stage;

use deployix_core::backend::{UserData, UserDataPart};

use crate::stage::{server, told};

#[test]
fn a_machine_is_told_its_project_with_addresses_that_come_later() {
    let told = told(server(80), false).unwrap();
    let later: Vec<_> =
        told.parts.iter().filter(|part| matches!(part, UserDataPart::Address(_))).collect();
    assert_eq!(later.len(), 1);
    insta::assert_snapshot!(text_of(&told));
}

/// What a machine is told, with marks in place of what comes later.
fn text_of(told: &UserData) -> String {
    let parts = told.parts.iter().map(|part| match part {
        UserDataPart::Text(text) => text.clone(),
        other => format!("<<{other:?}>>"),
    });
    parts.collect()
}

#[test]
fn what_has_to_outlive_its_machine_is_in_folders_of_a_disk_that_the_engine_waits_for() {
    let job = server(80).schedule("hourly").state("/var/lib/web");
    let told = told(job, true).unwrap();
    let outputs: Vec<_> =
        told.parts.iter().filter(|part| matches!(part, UserDataPart::Output(_))).collect();
    assert_eq!(outputs.len(), 1, "the script's own text is no mark: {:?}", told.parts);
    let text = text_of(&told);
    for told in [
        "mount-later-0; <<Output",
        "device: \"/srv/deployix/docker/web_var.lib.web\"",
        "ExecStart=/bin/sh /usr/local/lib/deployix/mount-state /srv/deployix\n",
        "RequiredBy=docker.service deployix-docker.service\n",
        "systemctl enable --now --no-block deployix-state.service",
    ] {
        assert!(text.contains(told), "{told} in {text}");
    }
    let made = text.lines().find(|line| line.contains("ExecStart=/bin/mkdir")).unwrap();
    let folders: Vec<_> = made.split(' ').filter(|word| word.starts_with("/srv/")).collect();
    let devices = text.lines().filter(|line| line.contains("device: ")).count();
    assert_eq!(folders.len(), devices + 1, "{made}");
    assert_eq!(devices, 2, "the record of the last run is kept as well: {text}");
}

#[test]
fn state_that_would_go_with_its_machine_is_refused() {
    let error = told(server(80).state("/var/lib/web"), false).unwrap_err();
    assert!(error.to_string().contains("does not outlive it"), "{error}");
    let error = told(server(80).schedule("hourly"), false).unwrap_err();
    assert!(error.to_string().contains("does not outlive it"), "{error}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let bytes = deployix_core::spec::FileContent::plain([0, 255]);
    let error = told(server(80).ship("image.png", bytes), false).unwrap_err();
    assert!(error.to_string().contains("text alone"), "{error}");
}
