//! The real Nix, as an oracle.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Evaluates an expression with `nix-instantiate` and gives its value as JSON.
///
/// Panics, naming what to install, where there is no Nix: a test that needs it must not pass without it.
pub(crate) fn evaluate(expression: &str) -> Result<serde_json::Value, String> {
    let mut nix = Command::new("nix-instantiate")
        .args(["--eval", "--strict", "--json", "--store", "dummy://", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(
            "nix-instantiate is needed by this test: run scripts/test, which installs Nix (the Debian package `nix-bin`)",
        );
    let mut stdin = nix.stdin.take().expect("piped");
    let text = expression.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = nix.wait_with_output().expect("nix-instantiate runs");
    writer
        .join()
        .expect("writer")
        .expect("nix-instantiate reads its input");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
