//! Scripts that run in a container before and around the program: POSIX sh, from typed words.

use std::fmt::Write as _;

use deployix_core::spec::{Part as Hole, Schedule, Template};

use crate::shell::{self, Part, Word};

/// Where an image keeps what this backend adds to it.
pub(crate) const HOME: &str = "/opt/deployix";
/// Where secrets are mounted, one file each.
const SECRETS: &str = "/run/secrets";
/// Where files with secrets are written, which is in memory alone.
pub(crate) const RENDERED: &str = "/run/deployix";
/// Where a periodic service keeps when it last ran.
pub(crate) const RECORD: &str = "/var/lib/deployix";

/// What has to be done at each start, before the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Secrets that must be readable.
    pub(crate) secrets: Vec<String>,
    /// Variables whose value holds a secret.
    pub(crate) variables: Vec<(String, Word)>,
    /// Files to write.
    pub(crate) files: Vec<StartFile>,
}

/// A file written at each start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartFile {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) content: StartContent,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StartContent {
    /// Text, maybe with secrets.
    Text(Word),
    /// A copy of a file of the image.
    CopyOf(String),
}

impl Start {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.variables.is_empty() && self.files.is_empty()
    }

    /// A script that does it and then becomes the program that its arguments name.
    pub(crate) fn print(&self) -> String {
        let mut out = String::from(
            "#!/bin/sh\n# Made by Deployix: fills in secrets, then becomes the program.\nset -eu\n",
        );
        for secret in &self.secrets {
            let path = Word::text(format!("{SECRETS}/{secret}"));
            // Printed before anything runs, so that a missing secret is not an empty one.
            let _ = writeln!(
                out,
                "[ -r {path} ] || {{ echo {} >&2; exit 78; }}",
                Word::text(format!("deployix: cannot read the secret {secret} at {path}"))
            );
        }
        for (name, value) in &self.variables {
            let _ = writeln!(out, "{name}={value}\nexport {name}");
        }
        for StartFile { path, mode, content } in &self.files {
            let parent = Word::text(parent(path));
            let path = Word::text(path);
            let _ = writeln!(out, "mkdir -p -- {parent}\nrm -f -- {path}");
            let _ = match content {
                // In a subshell, so that the program keeps its own mask; printf is built in, so
                // no list of processes ever shows its arguments.
                StartContent::Text(text) => {
                    writeln!(out, "( umask 077; printf %s {text} > {path} )")
                }
                StartContent::CopyOf(other) => {
                    writeln!(out, "cp -- {} {path}", Word::text(other))
                }
            };
            let _ = writeln!(out, "chmod {mode:04o} -- {path}");
        }
        out.push_str("exec \"$@\"\n");
        out
    }
}

/// The folder that a file is in.
pub(crate) fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => parent,
        _ => "/",
    }
}

/// A template as a shell word that reads its secrets. A secret's trailing line breaks are left
/// out, since most files end in one that nobody meant.
///
/// # Errors
/// The hole that is none of a secret: the core fills in or refuses all others.
pub(crate) fn word(template: &Template) -> Result<Word, String> {
    let parts = template.parts().iter().map(|part| match part {
        Hole::Literal(text) => Ok(Part::Text(text.clone())),
        Hole::Secret(name) => {
            let path = Word::text(format!("{SECRETS}/{name}"));
            Ok(Part::Output(vec!["cat".into(), path]))
        }
        other => Err(format!("{other:?}")),
    });
    parts.collect::<Result<_, _>>().map(Word)
}

/// A script that runs the program that its arguments name on a schedule, one run at a time.
///
/// A run that was missed while the container was down is caught up at once, however many there
/// were; the first start of all has missed none. Times are the container's local time. `None` for
/// a calendar expression, which only systemd reads.
pub(crate) fn schedule(schedule: &Schedule) -> Option<String> {
    let period = schedule.period()?.as_seconds();
    let offset = match schedule {
        Schedule::Daily { hour, minute } => u64::from(*hour) * 3600 + u64::from(*minute) * 60,
        _ => 0,
    };
    let record = shell::command(&[format!("{RECORD}/last-run")]);
    let what = schedule.to_string();
    Some(format!(
        r#"#!/bin/sh
# Made by Deployix: runs the program {what}, catching up a missed run.
set -u
record={record}
child=

end() {{
  trap - TERM INT QUIT HUP
  if [ -n "$child" ]; then
    kill -TERM "$child" 2>/dev/null
    wait "$child"
  fi
  exit 0
}}
trap end TERM INT QUIT HUP

# Local seconds since 1970, counted from the schedule's time of day.
elapsed() {{
  zone=$(date +%z)
  hours=${{zone#?}}
  hours=${{hours%??}}
  minutes=${{zone#???}}
  east=$(( ${{hours#0}} * 3600 + ${{minutes#0}} * 60 ))
  case $zone in -*) east=-$east ;; esac
  echo $(( $(date +%s) + east - {offset} ))
}}

while :; do
  now=$(elapsed)
  slot=$(( now / {period} ))
  last=$(cat "$record" 2>/dev/null)
  if [ "$slot" != "$last" ]; then
    if printf '%s\n' "$slot" > "$record.new" && mv -f "$record.new" "$record"; then :; else
      echo "deployix: cannot write $record" >&2
      exit 73
    fi
    if [ -n "$last" ]; then
      "$@" &
      child=$!
      wait "$child" || echo "deployix: the run ended with status $?" >&2
      child=
      continue
    fi
  fi
  # At most a minute, so that a clock that was set is noticed.
  rest=$(( {period} - now % {period} ))
  [ "$rest" -le 60 ] || rest=60
  sleep "$rest" &
  child=$!
  wait "$child"
  child=
done
"#
    ))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_template_reads_its_secrets_where_they_are_mounted() {
        let template: Template = "password=${secret:db};x='$$y'".parse().unwrap();
        let expected = r#"'password='"$(cat /run/secrets/db)"';x='\''$y'\'"#;
        assert_eq!(word(&template).unwrap().to_string(), expected);
        assert!(word(&"${lookup:k}".parse().unwrap()).is_err());
    }

    /// Runs a script with its fixed folders below another root.
    fn run(script: &str, root: &std::path::Path, argv: &[&str]) -> std::process::Output {
        let file = root.join("script");
        let rooted = script
            .replace("/run/", &format!("{}/run/", root.display()))
            .replace("/var/lib/", &format!("{}/var/lib/", root.display()));
        std::fs::write(&file, rooted).unwrap();
        Command::new("sh").arg(&file).args(argv).output().unwrap()
    }

    #[test]
    fn a_program_starts_with_its_secrets_and_files() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/secrets")).unwrap();
        std::fs::write(root.path().join("run/secrets/db"), "p'w $x\n").unwrap();
        let template = "a ${secret:db} b\n".parse().unwrap();
        let start = Start {
            secrets: vec!["db".into()],
            variables: vec![("DSN".into(), word(&template).unwrap())],
            files: vec![StartFile {
                path: "/run/deployix/a b".into(),
                mode: 0o400,
                content: StartContent::Text(word(&template).unwrap()),
            }],
        };
        let output = run(&start.print(), root.path(), &["sh", "-c", "printf %s \"$DSN\"; umask"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("a p'w $x b\n") && !text.ends_with("0077\n"), "{text}");
        let written = std::fs::read_to_string(root.path().join("run/deployix/a b")).unwrap();
        assert_eq!(written, "a p'w $x b\n");
    }

    #[test]
    fn a_missing_secret_stops_the_start_and_is_named() {
        let root = tempfile::tempdir().unwrap();
        let start = Start { secrets: vec!["db".into()], ..Start::default() };
        let output = run(&start.print(), root.path(), &["echo", "started"]);
        assert_eq!(output.status.code(), Some(78));
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains("the secret db"));
    }

    #[test]
    fn a_missed_run_is_caught_up_once_and_the_first_start_has_missed_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/lib/deployix");
        std::fs::create_dir_all(&folder).unwrap();
        // Time is given by a `date` of the test's own: 03:31 local time, two hours east.
        let date = "date() { case $1 in +%s) echo 1700011860 ;; +%z) echo +0200 ;; esac; }\n";
        // The first sleep ends the script.
        let script = |schedule: &str| {
            let text = super::schedule(&schedule.parse().unwrap()).unwrap();
            text.replace("set -u\n", &format!("set -u\n{date}sleep() {{ kill -TERM $$; }}\n"))
        };
        let ran = |schedule: &str| {
            let output = run(&script(schedule), root.path(), &["echo", "ran"]);
            String::from_utf8(output.stdout).unwrap().lines().count()
        };
        assert_eq!(ran("daily 03:30"), 0, "the first start");
        assert_eq!(ran("daily 03:30"), 0, "nothing was missed");
        let record = folder.join("last-run");
        let slot: u64 = std::fs::read_to_string(&record).unwrap().trim().parse().unwrap();
        assert_eq!(slot, (1_700_011_860 + 7200 - 12_600) / 86_400);
        std::fs::write(&record, "5\n").unwrap();
        assert_eq!(ran("daily 03:30"), 1, "many missed runs are one");
        assert_eq!(super::schedule(&"Mon *-*-* 03:30".parse().unwrap()), None);
    }
}
