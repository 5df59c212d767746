//! Files encrypted with GnuPG, by the program itself: so agents and smart cards work.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use zeroize::Zeroizing;

use super::bounded;

/// The content of a file, as `gpg` decrypts it.
pub(super) fn decrypt(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    if !path.metadata().map_err(|error| format!("cannot read it: {error}"))?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut gpg = Command::new("gpg")
        .args(["--batch", "--quiet", "--decrypt", "--"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `gpg` to decrypt it: {error}"))?;
    // Read beside the value, so that neither pipe fills up.
    let complaints = gpg.stderr.take().map(|mut pipe| {
        thread::spawn(move || {
            let mut text = Vec::new();
            // Without its complaints a failure is told all the same.
            let _ = pipe.read_to_end(&mut text);
            String::from_utf8_lossy(&text).trim().to_owned()
        })
    });
    let value = gpg.stdout.take().map(|pipe| bounded(pipe, super::LARGEST));
    let status = gpg.wait().map_err(|error| format!("`gpg` was lost: {error}"))?;
    let complaints = complaints.and_then(|read| read.join().ok()).unwrap_or_default();
    if !status.success() {
        let last = complaints.lines().last().unwrap_or("it does not say why");
        return Err(format!("`gpg` does not decrypt it: {last}"));
    }
    match value {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(format!("cannot read what `gpg` decrypts: {error}")),
        None => Err("cannot read what `gpg` decrypts".to_owned()),
    }
}
