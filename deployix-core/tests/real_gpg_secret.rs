//! Secrets that the real GnuPG decrypts.

use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

use deployix_core::{SecretName, backend::Secrets, secret::SecretsFolder};

/// Where the process that decrypts finds the secrets.
const CHILD: &str = "DEPLOYIX_TEST_CHILD";

const VALUE: &[u8] = b"s3cret\n\x00\xff";

#[test]
fn what_gpg_can_decrypt_is_the_value() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(home.path()).args(["--batch", "--quiet", "--passphrase", ""]);
        let output = gpg
            .args(arguments)
            .output()
            .expect("gpg is needed by this test: run scripts/test, which installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let folder = tempfile::tempdir().unwrap();
    let plain = home.path().join("plain");
    fs::write(&plain, VALUE).unwrap();
    let cipher = folder.path().join("db.gpg");
    gpg(&["--quick-generate-key", "somebody@example.com", "default", "default", "never"]);
    let to = ["--trust-model", "always", "--recipient", "somebody@example.com"];
    let files = ["--output", cipher.to_str().unwrap(), "--encrypt", plain.to_str().unwrap()];
    gpg(&[&to[..], &files[..]].concat());

    // Which keys there are is a matter of the environment, which is a process's own.
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "the_process_that_decrypts", "--nocapture"])
        .env(CHILD, folder.path())
        .env("GNUPGHOME", home.path())
        .output()
        .unwrap();
    let stop = ["--homedir", home.path().to_str().unwrap(), "--kill", "all"];
    let _ = Command::new("gpgconf").args(stop).output();
    let told = [child.stdout, child.stderr].concat();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&told));
}

/// Not a test of its own: the process that decrypts.
#[test]
fn the_process_that_decrypts() {
    let Ok(folder) = env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let name = SecretName::new("db").unwrap();
    let value = runtime.block_on(SecretsFolder::new(folder).value(&name)).unwrap();
    assert_eq!(value.expose(), VALUE);
}
