//! The script by which a machine fetches its secrets, against a Parameter Store that speaks the real
//! protocol, and a stand-in for the metadata service.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/metadata.rs"]
mod metadata;
#[path = "support/moto.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod moto;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use deployix_backend_ec2::request::ParameterValue;
use deployix_core::backend::SecretValue;
use metadata::{Asked, REGION, serve};

const SCRIPT: &str = include_str!("../src/guest/fetch-secrets.sh");

/// Passes on what is asked to moto; what it was asked is kept.
fn store() -> (String, Arc<Mutex<Vec<Asked>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let moto = moto::server();
    let at = serve(move |asked| {
        let mut passed = TcpStream::connect(moto.strip_prefix("http://").unwrap()).unwrap();
        let head = asked.headers.join("\r\n");
        write!(passed, "{}\r\n{head}\r\nConnection: close\r\n\r\n", asked.line).unwrap();
        passed.write_all(&asked.body).unwrap();
        let mut answer = String::new();
        passed.read_to_string(&mut answer).unwrap();
        let (line, _) = answer.split_once("\r\n").unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        hearing.lock().unwrap().push(asked.clone());
        (status, body)
    });
    (at, heard)
}

/// Writes a parameter as the engine does.
fn put(name: &str, text: &str) {
    let body = serde_json::json!({
        "Name": name, "Value": text, "Type": "SecureString", "Overwrite": true,
    });
    let sign = format!("aws:amz:{REGION}:ssm");
    let answer = Command::new("curl")
        .args(["-sS", "--fail", "--aws-sigv4", &sign, "--user", "key:secret"])
        .args(["-H", "X-Amz-Target: AmazonSSM.PutParameter"])
        .args(["-H", "Content-Type: application/x-amz-json-1.1"])
        .args(["--data-binary", &body.to_string(), &moto::server()])
        .output()
        .unwrap();
    assert!(answer.status.success(), "{answer:?}");
}

fn encoded(secret: &[u8]) -> String {
    let value = ParameterValue::encoded(&SecretValue::new(secret.to_vec()));
    value.expose().unwrap().to_owned()
}

fn start(folder: &Path, path: &str, names: &[&str], late: usize, store: &str) -> Child {
    Command::new("sh")
        .args(["-c", SCRIPT, "fetch-secrets", folder.to_str().unwrap(), path])
        .args(names)
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata::service(late))
        .env("AWS_ENDPOINT_URL_SSM", store)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn a_machine_gets_its_secrets_byte_for_byte_once_it_has_its_role() {
    let secrets: [(&str, &[u8]); 4] = [
        ("db", b"p'a\"$s`s\\ {{x}} \xc3\xa9\n"),
        ("empty", b""),
        ("key.pem", &[0, 255, 254, 10]),
        ("long", &[b'/'; 6000]),
    ];
    for (name, secret) in secrets {
        put(&format!("/deployix/test/one/{name}"), &encoded(secret));
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run/secrets");
    let (store, heard) = store();
    let names = secrets.map(|(name, _)| name);
    let output = start(&at, "/deployix/test/one", &names, 1, &store).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    for (name, secret) in secrets {
        assert_eq!(fs::read(at.join(name)).unwrap(), secret, "{name}");
        let mode = fs::metadata(at.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&at).unwrap().count(), secrets.len(), "nothing else is left there");
    assert!(!told(&output).contains("base64:"), "{}", told(&output));

    let heard = heard.lock().unwrap();
    for asked in heard.iter() {
        assert_eq!(asked.header("x-amz-security-token"), Some("IQoJb3/JpZ2+luX=="));
        let signed = asked.header("authorization").unwrap();
        let scope = format!("/{REGION}/ssm/aws4_request");
        assert!(signed.contains("Credential=ASIAEXAMPLE/") && signed.contains(&scope), "{signed}");
        for header in ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
            assert!(signed.contains(header), "{header} is not signed: {signed}");
        }
    }
}

#[test]
fn it_asks_again_until_a_secret_is_there_and_says_why_it_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store();
    let mut running = start(folder.path(), "/deployix/test/late", &["db"], 0, &store);
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let expected = "there is no /deployix/test/late/db to be had: ParameterNotFound";
    assert!(line.starts_with(expected), "{line}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    put("/deployix/test/late/db", &encoded(b"now"));
    let until = Instant::now() + Duration::from_secs(30);
    while running.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it does not end");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(fs::read(folder.path().join("db")).unwrap(), b"now");
}

#[test]
fn a_parameter_that_somebody_else_wrote_is_no_secret_and_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store();
    put("/deployix/test/foreign/db", "hunter2");
    let mut running = start(folder.path(), "/deployix/test/foreign", &["db"], 0, &store);
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert_eq!(line, "/deployix/test/foreign/db was not written by Deployix: deploy again");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    running.kill().unwrap();
    running.wait().unwrap();
}
