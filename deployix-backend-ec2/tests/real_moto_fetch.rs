//! What machines fetch, from S3 as moto's server speaks it, with a metadata service of the test's own.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/metadata.rs"]
mod metadata;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/object.rs"]
mod object;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use moto::put;
use object::{digest, gzip};

/// The script, with the test's addresses and folders in place of a machine's own.
fn script(folder: &Path, metadata: &str, storage: &str) -> String {
    let script = include_str!("../src/user_data/fetch.py");
    let path = |name: &str| folder.join(name).display().to_string();
    [
        ("http://169.254.169.254/", metadata.to_owned()),
        ("https://{host}", storage.to_owned()),
        ("/var/lib/deployix/user-data.gz", path("kept/user-data.gz")),
        ("/etc/cloud/cloud.cfg.d/99-deployix.cfg", path("cloud.cfg.d/99-deployix.cfg")),
        ("TRIES = 10", "TRIES = 1".to_owned()),
        ("[\"systemctl\", \"poweroff\"", format!("[\"touch\", \"{}\"", path("off"))),
        (", \"--no-block\"]", "]".to_owned()),
        ("/dev/console", path("console")),
    ]
    .iter()
    .fold(script.to_owned(), |script, (from, to)| {
        assert!(script.contains(from), "{from}");
        script.replace(from, to)
    })
}

fn run(folder: &Path, storage: &str, bucket: &str, key: &str) -> Output {
    let metadata = format!("{}/", metadata::service(0));
    fs::write(folder.join("fetch.py"), script(folder, &metadata, storage)).unwrap();
    Command::new("python3").arg(folder.join("fetch.py")).args([bucket, key]).output().unwrap()
}

#[test]
fn what_was_put_into_s3_is_fetched_checked_unpacked_and_kept_for_the_next_boot() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = format!("boot-{}", std::process::id());
    put(&bucket, b"");
    let object = gzip("#cloud-config\n{}\n");
    let key = format!("machines/test/target/one/{}", digest(&object));
    put(&format!("{bucket}/{key}"), &object);
    let output = run(folder.path(), &moto::server(), &bucket, &key);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let configuration = folder.path().join("cloud.cfg.d/99-deployix.cfg");
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "#cloud-config\n{}\n");

    fs::remove_file(&configuration).unwrap();
    let output = run(folder.path(), "http://127.0.0.1:9", &bucket, &key);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(&configuration).unwrap(), "#cloud-config\n{}\n");
}

#[test]
fn what_is_not_there_or_was_exchanged_turns_the_machine_off_with_a_word_why() {
    let bucket = format!("exchanged-{}", std::process::id());
    put(&bucket, b"");
    let object = gzip("#cloud-config\n{}\n");
    let key = format!("machines/{}", digest(&object));
    for (there, words) in [(None, "s3:GetObject"), (Some(gzip("#cloud-config\n")), "SHA-256")] {
        if let Some(other) = there {
            put(&format!("{bucket}/{key}"), &other);
        }
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), &moto::server(), &bucket, &key);
        assert!(!output.status.success());
        let console = fs::read_to_string(folder.path().join("console")).unwrap();
        assert!(console.contains(words) && console.contains(&key), "{console}");
        assert!(folder.path().join("off").exists());
        assert!(!folder.path().join("cloud.cfg.d").exists());
        assert!(!folder.path().join("kept").exists());
    }
}
