//! Shell scripts: those that are the same everywhere, and those that fill in secrets.

use std::fmt::Write;

use deployix_core::{
    AbsolutePath, ResourceId,
    spec::{EnvName, FileSpec, Part, Template},
};

use crate::{
    request::VolumeId,
    user_data::{shell, text::Text},
};

/// Waits until a service is ready: `ready SECONDS tcp PORT`, `ready SECONDS http PORT PATH` or
/// `ready SECONDS command ARGUMENT..`.
pub(super) const READY: &str = include_str!("ready.sh");

/// Mounts the disk for state at the folder that is its argument, making a file system on it the
/// first time.
pub(super) fn mount_state(volume: &ResourceId) -> Text {
    // The volume's id is filled in once it is known, and has no character that means anything to the
    // shell.
    let script = include_str!("mount-state.sh");
    let (before, after) = script.split_once("VOLUME").unwrap_or((script, ""));
    let mut text = Text::from(before);
    text.push_output::<VolumeId>(volume);
    text.push(after);
    text
}

/// Fetches secrets from Parameter Store: `fetch-secrets FOLDER PATH NAME..`.
pub(super) const FETCH_SECRETS: &str = include_str!("fetch-secrets.sh");

/// Keeps what packages bring along from running by itself; see the file.
pub(super) const REMEMBER_UNITS: &str = "mkdir -p /run/deployix; systemctl list-unit-files \
    --state=enabled --no-legend --plain | cut -d' ' -f1 | sort > /run/deployix/enabled";

/// Turns off the units that were not on before packages were installed.
pub(super) const QUIET_PACKAGES: &str = "systemctl list-unit-files --state=enabled --no-legend \
    --plain | cut -d' ' -f1 | sort | comm -13 /run/deployix/enabled - | \
    xargs -r systemctl disable --now";

/// Debian's maintainer scripts ask this before they start a service (invoke-rc.d(8)); 101 is no.
pub(super) const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// The start of a script that fills secrets in: it stops at the first failure, and what it writes is
/// nobody else's. `variable` prints a line of an environment file (systemd.exec(5),
/// `EnvironmentFile=`), in whose double quotes these four characters have a meaning.
const PREAMBLE: &str = r#"#!/bin/sh
set -eu
umask 077
variable() {
  printf '%s="' "$1"
  printf %s "$2" | sed 's/[\\"$`]/\\&/g'
  printf '"\n'
}
"#;

/// What has secrets in it.
#[derive(Debug, Default)]
pub(super) struct Secret<'a> {
    /// Environment variables.
    pub(super) variables: Vec<(&'a EnvName, &'a Template)>,
    /// Files.
    pub(super) files: Vec<(&'a AbsolutePath, &'a FileSpec, &'a Template)>,
}

impl Secret<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.variables.is_empty() && self.files.is_empty()
    }

    /// A script that fills the secrets in, as root, before the service starts: the variables into a
    /// file that only root and systemd read, the files in their places.
    ///
    /// Line ends at the end of a secret are dropped, as they are from any file that a person writes.
    /// Whatever the mode of a file says, nobody reads it but its owner and its group.
    ///
    /// This is not left to `LoadCredential=`: with Debian 12's systemd, a service that is kept from
    /// anything sees its credentials in some of its commands and not in others (systemd's issues
    /// 27275 and 32583).
    pub(super) fn script(&self, folder: &str, environment: &str, owner: &str) -> String {
        let mut script = PREAMBLE.to_owned();
        // Writing to a string cannot fail, here and below.
        if !self.variables.is_empty() {
            let (runtime, _) = environment.rsplit_once('/').unwrap_or_default();
            let (runtime, new) = (shell::word(runtime), format!("{environment}.new"));
            let (environment, new) = (shell::word(environment), shell::word(&new));
            let _ = writeln!(script, "install -d -m 0700 -- {runtime}\n: > {new}");
            for (name, value) in &self.variables {
                let text = assigned(&mut script, folder, value);
                let _ = writeln!(script, "variable {name} {text} >> {new}");
            }
            let _ = writeln!(script, "mv -fT -- {new} {environment}");
        }
        for (path, file, text) in &self.files {
            let content = assigned(&mut script, folder, text);
            let (above, _) = path.as_str().rsplit_once('/').unwrap_or_default();
            let above = shell::word(if above.is_empty() { "/" } else { above });
            // The new content is complete and has its owner before anybody sees it.
            let new = shell::word(&format!("{path}.deployix"));
            let path = shell::word(path.as_str());
            let _ = writeln!(script, "install -d -m 0755 -- {above}");
            let _ = writeln!(script, "printf %s {content} > {new}");
            let _ = writeln!(
                script,
                "chown -- {owner} {new}\nchmod -- {:04o} {new}",
                file.mode & !0o007
            );
            let _ = writeln!(script, "mv -fT -- {new} {path}");
        }
        script
    }
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
                let path = shell::word(&format!("{folder}/{name}"));
                let _ = writeln!(script, "secret{count}=$(cat -- {path})");
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

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    /// Runs the script with one secret, and gives what the variable and the file then are. An
    /// environment file is read by systemd as the shell would read it.
    fn run(secret: &str, value: &str) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("db"), secret).unwrap();
        let name = EnvName::new("DBI").unwrap();
        let value: Template = value.parse().unwrap();
        let at = AbsolutePath::new(path("sub/file")).unwrap();
        let file = FileSpec::text(value.clone());
        let what = Secret { variables: vec![(&name, &value)], files: vec![(&at, &file, &value)] };
        let script = what.script(&path(""), &path("run/x.env"), "root:root");
        // Not everybody who runs the tests is root.
        let script = script.replace("chown ", ": ");
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        let read = format!(". '{}'; printf %s \"$DBI\"", path("run/x.env"));
        let output = Command::new("sh").args(["-c", &read]).output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), fs::read_to_string(path("sub/file")).unwrap())
    }

    #[test]
    fn secrets_are_filled_in_byte_for_byte() {
        for secret in
            ["s", "p'a\"$s`s\\", "$(id) ${HOME} %h", "two\nlines", "é\u{1f600}", " a  b ", "-n"]
        {
            let (variable, file) = run(&format!("{secret}\n"), "it's \"${secret:db}\";$$x\n");
            let expected = format!("it's \"{secret}\";$x\n");
            assert_eq!((variable.as_str(), file.as_str()), (expected.as_str(), expected.as_str()));
        }
    }

    #[test]
    fn a_missing_secret_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let name = EnvName::new("DBI").unwrap();
        let value: Template = "${secret:gone}x".parse().unwrap();
        let what = Secret { variables: vec![(&name, &value)], files: vec![] };
        let script = what.script(path, &format!("{path}/run/x.env"), "root:root");
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(!status.success());
        assert!(!folder.path().join("run/x.env").exists());
    }
}
