//! The folder of secrets: which file a name means, how it is read, and that no value is ever told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use deployix_core::{
    SecretName,
    backend::{SecretError, Secrets},
    secret::SecretsFolder,
};

fn value(folder: &SecretsFolder, name: &str) -> Result<Vec<u8>, SecretError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let value = runtime.block_on(folder.value(&SecretName::new(name).unwrap()));
    value.map(|value| value.expose().to_vec())
}

fn reason(folder: &SecretsFolder, name: &str) -> String {
    value(folder, name).unwrap_err().to_string()
}

#[test]
fn a_plain_secret_is_its_file_with_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db"), b"s3cret\n\xff\0").unwrap();
    let secrets = SecretsFolder::new(folder.path());
    assert_eq!(value(&secrets, "db").unwrap(), b"s3cret\n\xff\0");
}

#[test]
fn a_secret_that_is_nowhere_is_told_with_the_files_that_were_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let told = reason(&SecretsFolder::new(folder.path()), "db");
    for file in ["db.age`", "db.gpg`", "/db`"] {
        assert!(told.contains(file), "{told}");
    }
    assert!(reason(&SecretsFolder::new("not/there"), "db").contains("`not/there/db`"));
}

#[test]
fn a_secret_in_two_files_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db"), "old-value").unwrap();
    fs::write(folder.path().join("db.gpg"), "").unwrap();
    let told = reason(&SecretsFolder::new(folder.path()), "db");
    assert!(told.contains("several files") && told.contains("db.gpg"), "{told}");
    assert!(!told.contains("old-value"), "{told}");
}

#[test]
fn an_encrypted_file_is_never_taken_for_a_plain_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db.age"), "cipher").unwrap();
    let told = reason(&SecretsFolder::new(folder.path()), "db.age");
    assert!(told.contains("db.age.age"), "{told}");
}

#[test]
fn what_is_no_file_or_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("db")).unwrap();
    fs::write(folder.path().join("big"), vec![b'x'; (1 << 20) + 1]).unwrap();
    let secrets = SecretsFolder::new(folder.path());
    assert!(reason(&secrets, "db").contains("no file"));
    assert!(reason(&secrets, "big").contains("1 MiB"));
}

#[test]
fn what_gpg_cannot_decrypt_is_told_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db.gpg"), "not-encrypted").unwrap();
    let told = reason(&SecretsFolder::new(folder.path()), "db");
    assert!(told.contains("gpg") && told.contains("db.gpg"), "{told}");
    assert!(!told.contains("not-encrypted"), "{told}");
}

#[test]
fn nobody_prints_a_value() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("db"), "s3cret").unwrap();
    let secrets = SecretsFolder::new(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let value = runtime.block_on(secrets.value(&SecretName::new("db").unwrap())).unwrap();
    assert!(!format!("{value:?} {secrets:?}").contains("s3cret"));
}

#[cfg(feature = "age")]
mod encrypted_with_age {
    use std::{io::Write, path::Path};

    use age::{
        armor::{ArmoredWriter, Format},
        secrecy::ExposeSecret,
        x25519::Identity,
    };

    use super::*;

    fn encrypt(path: &Path, to: &Identity, format: Format, value: &[u8]) {
        let recipient = to.to_public();
        let encryptor =
            age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient));
        let file = ArmoredWriter::wrap_output(fs::File::create(path).unwrap(), format).unwrap();
        let mut writer = encryptor.unwrap().wrap_output(file).unwrap();
        writer.write_all(value).unwrap();
        writer.finish().and_then(ArmoredWriter::finish).unwrap();
    }

    #[test]
    fn a_secret_is_decrypted_by_an_identity() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::generate();
        let key = folder.path().join("key");
        fs::write(&key, format!("# mine\n{}\n", identity.to_string().expose_secret())).unwrap();
        encrypt(&folder.path().join("db.age"), &identity, Format::Binary, b"s3cret\n");
        encrypt(&folder.path().join("web.age"), &identity, Format::AsciiArmor, b"other");
        let secrets = SecretsFolder::new(folder.path()).identity(&key);
        assert_eq!(value(&secrets, "db").unwrap(), b"s3cret\n");
        assert_eq!(value(&secrets, "web").unwrap(), b"other");
    }

    #[test]
    fn why_a_secret_is_not_decrypted_is_told_and_no_key_is() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let (mine, theirs) = (Identity::generate(), Identity::generate());
        encrypt(&folder.path().join("db.age"), &theirs, Format::Binary, b"s3cret");
        let secrets = SecretsFolder::new(folder.path());
        assert!(reason(&secrets, "db").contains("no identity is known"));
        let secrets = secrets.identity(&key);
        assert!(reason(&secrets, "db").contains("DEPLOYIX_IDENTITY"));
        fs::write(&key, mine.to_string().expose_secret()).unwrap();
        assert!(reason(&secrets, "db").contains("it cannot be decrypted by the identity"));
        fs::write(&key, "AGE-SECRET-KEY-1NONSENSE").unwrap();
        let told = reason(&secrets, "db");
        assert!(told.contains("holds no identities") && !told.contains("NONSENSE"), "{told}");
    }
}
