//! Shell scripts: those that are the same everywhere, and those that fill in secrets.

use std::fmt::Write;

use deployix_core::{
    AbsolutePath, SecretName,
    spec::{EnvName, FileSpec, Part, Template},
};

use crate::user_data::shell;

/// Waits until a service is ready: `ready SECONDS tcp PORT`, `ready SECONDS http PORT PATH` or
/// `ready SECONDS command ARGUMENT..`.
pub(super) const READY: &str = include_str!("ready.sh");

/// Mounts the disk for state, making a file system on it the first time.
pub(super) const MOUNT_STATE: &str = include_str!("mount-state.sh");

/// Keeps what packages bring along from running by itself; see the file.
pub(super) const REMEMBER_UNITS: &str = "mkdir -p /run/deployix; systemctl list-unit-files \
    --state=enabled --no-legend --plain | cut -d' ' -f1 | sort > /run/deployix/enabled";

/// Turns off the units that were not on before packages were installed.
pub(super) const QUIET_PACKAGES: &str = "systemctl list-unit-files --state=enabled --no-legend \
    --plain | cut -d' ' -f1 | sort | comm -13 /run/deployix/enabled - | \
    xargs -r systemctl disable --now";

/// Debian's maintainer scripts ask this before they start a service (invoke-rc.d(8)); 101 is no.
pub(super) const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// The start of each script: stop at the first failure.
const PREAMBLE: &str = "#!/bin/sh\nset -eu\n";

/// A script that fills secrets into variables and then becomes what it is told to run.
///
/// The secrets are read from the folder that systemd gives the service, which only it can read. Line
/// ends at the end of a secret are dropped, as they are from any file that a person writes.
pub(super) fn with_environment<'a>(
    variables: impl Iterator<Item = (&'a EnvName, &'a Template)>,
) -> String {
    let mut script = PREAMBLE.to_owned();
    for (name, value) in variables {
        let text = assigned(&mut script, "$CREDENTIALS_DIRECTORY", value);
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(script, "{name}={text}\nexport {name}");
    }
    script.push_str("exec \"$@\"\n");
    script
}

/// A script that writes files with secrets in them, as root, before the service starts.
///
/// Whatever their mode says, nobody reads them but their owner and its group.
pub(super) fn secret_files<'a>(
    files: impl Iterator<Item = (&'a AbsolutePath, &'a FileSpec, &'a Template)>,
    owner: &str,
) -> String {
    let mut script = format!("{PREAMBLE}umask 077\n");
    for (path, file, text) in files {
        let content = assigned(&mut script, super::SECRETS, text);
        let (folder, _) = path.as_str().rsplit_once('/').unwrap_or_default();
        let folder = shell::word(if folder.is_empty() { "/" } else { folder });
        // The new content is complete and has its owner before anybody sees it.
        let (path, new) = (shell::word(path.as_str()), shell::word(&format!("{path}.deployix")));
        let _ = writeln!(script, "install -d -- {folder}");
        let _ = writeln!(script, "printf %s {content} > {new}");
        let _ =
            writeln!(script, "chown -- {owner} {new}\nchmod -- {:04o} {new}", file.mode & !0o007);
        let _ = writeln!(script, "mv -fT -- {new} {path}");
    }
    script
}

/// Assigns each secret to a variable of its own, since the shell notices a failure to read one only
/// there; gives the template as a word with those variables in it.
fn assigned(script: &mut String, folder: &str, template: &Template) -> String {
    let mut word = String::new();
    let mut count = 0;
    for part in template.parts() {
        match part {
            Part::Literal(text) => word.push_str(&shell::word(text)),
            Part::Secret(name) => {
                count += 1;
                let _ = writeln!(script, "secret{count}=$(cat -- \"{folder}/{name}\")");
                let _ = write!(word, "\"${{secret{count}}}\"");
            }
            // The core refuses lookups and has filled in the rest.
            Part::Lookup(_) | Part::Upstream(_) | Part::Endpoint(_) => {}
        }
    }
    if word.is_empty() { "''".to_owned() } else { word }
}

/// Whether a secret has to be filled in.
pub(super) fn has_secret(template: &Template) -> bool {
    template.secrets().next().is_some()
}

/// Every secret of some templates, in order and once.
pub(super) fn secrets<'a>(
    templates: impl Iterator<Item = &'a Template>,
) -> std::collections::BTreeSet<&'a SecretName> {
    templates.flat_map(Template::secrets).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    #[test]
    fn secrets_are_filled_in_where_the_program_sees_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("db"), "p'a\"$s`s\\\n").unwrap();
        let name = EnvName::new("DBI").unwrap();
        let value: Template = "it's ${secret:db};$$x".parse().unwrap();
        let script = with_environment([(&name, &value)].into_iter());
        let output = Command::new("sh")
            .args(["-c", &script, "sh", "sh", "-c", "printf %s \"$DBI\""])
            .env("CREDENTIALS_DIRECTORY", folder.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's p'a\"$s`s\\;$x");
    }

    #[test]
    fn a_missing_secret_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let name = EnvName::new("DBI").unwrap();
        let value: Template = "${secret:gone}x${secret:gone-too}".parse().unwrap();
        let script = with_environment([(&name, &value)].into_iter());
        let output = Command::new("sh")
            .args(["-c", &script, "sh", "echo", "started"])
            .env("CREDENTIALS_DIRECTORY", folder.path())
            .output()
            .unwrap();
        assert!(!output.status.success());
        assert!(output.stdout.is_empty());
    }
}
