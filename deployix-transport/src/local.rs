//! This machine.

use std::io;

use async_trait::async_trait;

use crate::{
    Transport, TransportError,
    command::{Channel, Command},
    output::{Output, Written, last_words},
    process::{self, End},
};

/// This machine, on which commands run as the user who runs this process.
///
/// A command runs in a process group of its own, so that what it starts ends with it, and an
/// interrupt from the keyboard does not reach it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

#[async_trait]
impl Transport for Local {
    fn host(&self) -> &str {
        "this machine"
    }

    async fn run(&self, command: &Command) -> Result<Output, TransportError> {
        command.check(self.host())?;
        let mut process = tokio::process::Command::new(&command.program);
        process.args(&command.arguments);
        let mut stdout = Written::new(command, Channel::Stdout);
        let mut stderr = Written::new(command, Channel::Stderr);
        let ended = process::run(
            &mut process,
            command.stdin.clone(),
            command.limit,
            |line| stdout.line(line),
            |line| stderr.line(line),
        );
        let ended = ended.await;
        let host = self.host().to_owned();
        let program = || command.program.to_string_lossy().into_owned();
        match (ended, command.limit) {
            (Ok(End::Itself(status)), _) => {
                Ok(Output { status: status.into(), stdout: stdout.bytes, stderr: stderr.bytes })
            }
            (Ok(End::TimedOut), limit) => Err(TransportError::TimedOut {
                host,
                command: command.to_string(),
                limit: limit.unwrap_or_default(),
                ended: true,
                last_words: last_words(&stderr.bytes),
            }),
            (Err(error), _) => Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    TransportError::NotFound { host, program: program() }
                }
                io::ErrorKind::PermissionDenied => {
                    TransportError::NotRunnable { host, program: program() }
                }
                _ => {
                    let command = command.to_string();
                    TransportError::Here { host, command, source: error }
                }
            }),
        }
    }

    async fn reconnect(&self) -> Result<(), TransportError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ffi::OsString,
        os::unix::ffi::OsStringExt,
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::succeed;

    fn sh(script: &str) -> Command {
        Command::new("sh").args(["-c", script])
    }

    /// Whether a process is there, and not only its number.
    fn lives(id: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn is_gone(id: &str) {
        let begin = Instant::now();
        while lives(id) {
            assert!(begin.elapsed() < Duration::from_secs(3), "{id} still runs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn a_command_leaves_its_status_and_what_it_wrote() {
        let output = Local.run(&sh("echo out; echo err >&2; exit 3")).await.unwrap();
        assert_eq!(output.status.code(), 3);
        assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
        let killed = Local.run(&sh("kill -9 $$")).await.unwrap();
        assert_eq!(killed.status.signal(), Some(9));
    }

    #[tokio::test]
    async fn a_failure_tells_the_last_words() {
        let error =
            succeed(&Local, &sh("seq 1 50 >&2; exit 4").stdin("hunter2")).await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("on this machine failed with status 4:\n31\n"), "{told}");
        assert!(told.ends_with("\n50") && !format!("{error:?}").contains("hunter2"), "{told}");
        assert!(!error.is_temporary());
    }

    #[tokio::test]
    async fn programs_that_cannot_be_run_are_told_apart() {
        let run = async |program: &str| Local.run(&Command::new(program)).await.unwrap_err();
        assert!(matches!(run("no-such-program").await, TransportError::NotFound { .. }));
        assert!(matches!(run("/no/such/program").await, TransportError::NotFound { .. }));
        assert!(matches!(run("/etc/passwd").await, TransportError::NotRunnable { .. }));
        for nonsense in ["", "-c", "a\0b"] {
            let error = run(nonsense).await;
            assert!(matches!(error, TransportError::Unacceptable { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn lines_are_told_while_the_command_runs() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        let command =
            sh("echo one; echo two >&2; sleep 30; printf three").on_line(move |from, line| {
                listener.lock().unwrap().push((from, line.to_owned()));
            });
        let task = tokio::spawn(async move { Local.run(&command).await });
        let begin = Instant::now();
        while heard.lock().unwrap().len() < 2 {
            assert!(begin.elapsed() < Duration::from_secs(10), "{heard:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!task.is_finished());
        task.abort();
        let mut heard = heard.lock().unwrap().clone();
        heard.sort_by_key(|(_, line)| line.clone());
        assert_eq!(
            heard,
            [(Channel::Stdout, "one".to_owned()), (Channel::Stderr, "two".to_owned())]
        );
    }

    #[tokio::test]
    async fn twenty_megabytes_go_in_and_come_out() {
        let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let output = Local.run(&Command::new("cat").stdin(bytes.clone())).await.unwrap();
        assert!(output.stdout == bytes);
        let unread = Local.run(&Command::new("true").stdin(bytes)).await.unwrap();
        assert!(unread.status.success());
    }

    #[tokio::test]
    async fn a_time_limit_ends_the_command_and_what_it_started() {
        let command =
            sh("sleep 300 & echo $! >&2; echo $$ >&2; wait").limit(Duration::from_millis(300));
        let begin = Instant::now();
        let error = Local.run(&command).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(4));
        let TransportError::TimedOut { ended: true, last_words, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(last_words.lines().count(), 2);
        for id in last_words.lines() {
            is_gone(id).await;
        }
        assert!(error.to_string().contains("took longer than 300ms"), "{error}");
    }

    #[tokio::test]
    async fn what_does_not_end_when_asked_to_is_killed() {
        let command = sh("trap '' TERM; echo $$ >&2; sleep 300 & wait; sleep 300");
        let begin = Instant::now();
        let error = Local.run(&command.limit(Duration::from_millis(300))).await.unwrap_err();
        assert!(begin.elapsed() > Duration::from_secs(5), "it had time to end");
        let TransportError::TimedOut { last_words, .. } = error else { panic!("{error}") };
        is_gone(last_words.lines().next().unwrap()).await;
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_command_that_nobody_waits_for() {
        let told = Arc::new(Mutex::new(String::new()));
        let listener = told.clone();
        let command = sh("sleep 300 & echo $$ $!; wait").on_line(move |_, line| {
            *listener.lock().unwrap() = line.to_owned();
        });
        let waited = tokio::time::timeout(Duration::from_secs(1), Local.run(&command)).await;
        assert!(waited.is_err());
        let told = told.lock().unwrap().clone();
        assert_eq!(told.split(' ').count(), 2);
        for id in told.split(' ') {
            is_gone(id).await;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn every_word_reaches_the_program_as_it_is(
            words in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..40), 0..6)
        ) {
            let expected: Vec<u8> = words.iter().flat_map(|w| w.iter().copied().chain([0])).collect();
            let command = sh(r#"[ $# = 0 ] || printf '%s\0' "$@""#).arg("sh");
            let command = command.args(words.into_iter().map(OsString::from_vec));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let output = runtime.block_on(Local.run(&command)).unwrap();
            prop_assert_eq!(output.stdout, expected);
        }
    }
}
