//! What machines fetch, from S3 as moto's server speaks it, with a metadata service of the test's own.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
};

use sha2::{Digest, Sha256};

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

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn moto() -> String {
    std::env::var("DEPLOYIX_MOTO").expect("scripts/test starts moto's server")
}

/// Puts something into S3.
fn put(path: &str, body: &[u8]) {
    let server = moto();
    let address = server.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    let head = format!(
        "PUT /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// A metadata service of version 2; gives its address.
fn metadata() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut asked = vec![0; 4096];
            let read = connection.read(&mut asked).unwrap();
            let asked = String::from_utf8_lossy(&asked[..read]).to_ascii_lowercase();
            let path = asked.split(' ').nth(1).unwrap_or_default().to_owned();
            let may = asked.starts_with("put ") || asked.contains("metadata-token: token\r");
            let role = r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T"}"#;
            let body = match path.trim_start_matches("/latest/") {
                _ if !may => "",
                "api/token" => "token",
                "meta-data/placement/region" => "us-east-1",
                "meta-data/services/domain" => "amazonaws.com",
                "meta-data/iam/security-credentials/" => "boot",
                "meta-data/iam/security-credentials/boot" => role,
                _ => "",
            };
            let status = if body.is_empty() { "401 Unauthorized" } else { "200 OK" };
            let length = body.len();
            let head = format!("HTTP/1.0 {status}\r\nContent-Length: {length}\r\n\r\n");
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    address
}

fn run(folder: &Path, storage: &str, bucket: &str, key: &str) -> Output {
    fs::write(folder.join("fetch.py"), script(folder, &metadata(), storage)).unwrap();
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
    let output = run(folder.path(), &moto(), &bucket, &key);
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
        let output = run(folder.path(), &moto(), &bucket, &key);
        assert!(!output.status.success());
        let console = fs::read_to_string(folder.path().join("console")).unwrap();
        assert!(console.contains(words) && console.contains(&key), "{console}");
        assert!(folder.path().join("off").exists());
        assert!(!folder.path().join("cloud.cfg.d").exists());
        assert!(!folder.path().join("kept").exists());
    }
}
