//! User data that is fetched, as cloud-init of Debian 12 carries it out in a container: in the same boot,
//! before any of its modules, and not at all where it is not what was put into S3.

#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

#[path = "support/object.rs"]
mod object;

use std::{fs, path::Path, process::Command};

use deployix_backend_ec2::user_data::{
    cloud_config::{CloudConfig, Content, WriteFile},
    fetch,
    text::Text,
};
use deployix_core::{AbsolutePath, ResourceId};
use object::{digest, gzip};

const IMAGE: &str = "deployix-test-cloud-init";

const DOCKERFILE: &str = "FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends cloud-init iproute2 openssl
";

fn image(folder: &Path) {
    fs::write(folder.join("Dockerfile"), DOCKERFILE).unwrap();
    let output = Command::new("docker")
        .args(["build", "--quiet", "--tag", IMAGE])
        .arg(folder)
        .output()
        .expect("docker does not start: run scripts/test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// A word of each stage, in the order of a boot; and a key of the image's own configuration.
fn config() -> CloudConfig {
    CloudConfig {
        hostname: Some("epsilon1-0".to_owned()),
        early_commands: vec![words(["sh", "-c", "echo early >> /did"])],
        packages: Vec::new(),
        files: vec![WriteFile {
            path: AbsolutePath::new("/etc/hosts").unwrap(),
            mode: 0o644,
            append: true,
            content: Content::Text(Text::from("10.0.0.7 db.example.com\n")),
        }],
        commands: vec![
            words(["sh", "-c", "tail -n 1 /etc/hosts >> /did; cat /etc/hostname >> /did"]),
            words(["systemctl", "daemon-reload"]),
        ],
    }
}

/// What a machine prints and does that is told to fetch one object and gets another.
fn boots(told: &[u8], gets: &[u8]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    image(folder.path());
    let digest = digest(told);
    let id = ResourceId::new("ec2/target/one/machine/0/staged-user-data").unwrap();
    let user_data = fetch::user_data("boot", &id).preview();
    let hole = "<<Key of ec2/target/one/machine/0/staged-user-data>>";
    let user_data = user_data.replace(hole, &format!("machines/test/{digest}"));
    fs::write(folder.path().join("user-data"), user_data).unwrap();
    fs::write(folder.path().join("object"), gets).unwrap();
    fs::write(folder.path().join("boot.py"), include_str!("fetch/boot.py")).unwrap();
    let name = format!("deployix-test-fetch-{}-{}", std::process::id(), gets.len());
    let output = Command::new("docker")
        .args(["run", "--rm", "--name", &name, "--cap-add", "NET_ADMIN", "--volume"])
        .arg(format!("{}:/t:ro", folder.path().display()))
        .args([IMAGE, "python3", "/t/boot.py"])
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{text}");
    let (printed, did) = text.split_once("--- did\n").unwrap();
    (printed.to_owned(), did.to_owned())
}

#[test]
fn a_machine_does_what_it_fetched_as_if_it_had_been_told() {
    let object = gzip(config().print().as_known().unwrap());
    let (printed, did) = boots(&object, &object);
    let lines: Vec<_> = did.lines().filter(|line| !line.contains("ssh-keygen")).collect();
    let wanted = ["early", "10.0.0.7 db.example.com", "epsilon1-0"];
    assert_eq!(lines[..3], wanted, "{printed}\n{did}");
    assert!(did.contains("systemctl daemon-reload"), "{did}");
}

#[test]
fn a_machine_does_nothing_that_is_not_what_was_put_there() {
    let object = gzip(config().print().as_known().unwrap());
    let other = gzip("#cloud-config\nbootcmd:\n  - [sh, -c, \"echo other >> /did\"]\n");
    let (printed, did) = boots(&object, &other);
    let line = "deployix: s3://boot/machines/test/";
    assert!(printed.contains(line) && printed.contains("has the SHA-256"), "{printed}");
    assert!(did.contains("systemctl poweroff --no-block"), "{printed}\n{did}");
    for word in ["early", "other", "epsilon1"] {
        assert!(!did.contains(word), "{did}");
    }
}
