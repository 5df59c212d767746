//! A host over SSH: a container with OpenSSH's server. The user's own `~/.ssh` is neither read nor
//! written.
//!
//! These tests need a Docker engine, the image `debian:bookworm-slim` and OpenSSH's client;
//! `scripts/test` brings all of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use deployix_transport::{
    Channel, Command, Entry, Ssh, Transport, TransportError, connect, put, succeed,
};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::time::{sleep, timeout};

use crate::server::Server;

fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

async fn text(host: &dyn Transport, command: &Command) -> String {
    String::from_utf8(succeed(host, command).await.unwrap()).unwrap().trim().to_owned()
}

/// The port on this side that a command's connection comes from: the same for all of them.
async fn connection(host: &dyn Transport) -> String {
    text(host, &sh("echo $SSH_CONNECTION")).await
}

/// Runs a command until it has written a line, which is given along.
async fn started(
    host: &Arc<Ssh>,
    command: Command,
) -> (tokio::task::JoinHandle<Result<(), TransportError>>, String) {
    let told = Arc::new(Mutex::new(String::new()));
    let listener = told.clone();
    let command = command.on_line(move |_, line| *listener.lock().unwrap() = line.to_owned());
    let host = host.clone();
    let task = tokio::spawn(async move { host.run(&command).await.map(drop) });
    let begin = Instant::now();
    while told.lock().unwrap().is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(20) && !task.is_finished());
        sleep(Duration::from_millis(20)).await;
    }
    let told = told.lock().unwrap().clone();
    (task, told)
}

/// Waits until none of some processes is left in the container.
async fn are_gone(server: &Server, ids: &str) {
    let begin = Instant::now();
    // A zombie is nobody's any more.
    while ids.split(' ').any(|id| server.try_exec(&format!("grep -qv ') Z ' /proc/{id}/stat"))) {
        assert!(begin.elapsed() < Duration::from_secs(15), "{}", server.exec("ps -ef"));
        sleep(Duration::from_millis(100)).await;
    }
    server.exec("true");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_share_one_connection_until_a_new_one_is_asked_for() {
    let server = Server::start();
    let host = server.host();
    let commands = (0..50).map(|n| {
        let host = &host;
        async move {
            text(host, &sh("sleep 0.1; echo $1 $SSH_CONNECTION").args(["sh", &n.to_string()])).await
        }
    });
    let told = join_all(commands).await;
    for (n, told) in told.iter().enumerate() {
        assert!(told.starts_with(&format!("{n} ")), "{told}");
    }
    let shared = told[0].split_once(' ').unwrap().1;
    assert!(told.iter().all(|told| told.split_once(' ').unwrap().1 == shared), "{told:?}");
    assert_eq!(connection(&host).await, shared);
    host.reconnect().await.unwrap();
    assert_ne!(connection(&host).await, shared);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_fewer_commands_at_once_is_told() {
    let server = Server::start();
    // One is the connection's own.
    server.exec("echo MaxSessions 2 >> /etc/ssh/sshd_config; pkill -HUP -f '[l]istener'");
    server.wait();
    let host = Arc::new(server.host());
    let (task, _) = started(&host, sh("echo begun; sleep 2")).await;
    let error = host.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Busy { .. }) && error.is_temporary(), "{error}");
    task.await.unwrap().unwrap();
    host.run(&Command::new("true")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_word_reaches_the_program_as_it_is() {
    let server = Server::start();
    let host = server.host();
    let runtime = tokio::runtime::Handle::current();
    let words = prop::collection::vec(prop::collection::vec(1..=255_u8, 0..40), 0..6);
    let check = move |words: Vec<Vec<u8>>| {
        let expected: Vec<u8> = words.iter().flat_map(|w| w.iter().copied().chain([0])).collect();
        let command = sh(r#"[ $# = 0 ] || printf '%s\0' "$@""#).arg("sh");
        let command = command.args(words.into_iter().map(OsString::from_vec));
        let output = runtime.block_on(host.run(&command)).unwrap();
        prop_assert_eq!(output.stdout, expected);
        prop_assert_eq!(output.stderr, b"");
        Ok(())
    };
    let config = Config { failure_persistence: None, ..Config::with_cases(100) };
    let tried = tokio::task::spawn_blocking(move || {
        check(vec![b"-n".to_vec(), b"".to_vec(), b"$(id) `id` ~ * ; \\' \" ! \n\xff".to_vec()])
            .unwrap();
        TestRunner::new(config).run(&words, check)
    });
    tried.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_megabytes_go_in_and_come_out() {
    let server = Server::start();
    let host = server.host();
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let back = succeed(&host, &Command::new("cat").stdin(bytes.clone())).await.unwrap();
    assert!(back == bytes);
    assert_eq!(text(&host, &Command::new("wc").arg("-c").stdin(bytes.clone())).await, "20000000");
    assert!(host.run(&Command::new("true").stdin(bytes)).await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_program_is_told_as_it_was() {
    let server = Server::start();
    let host = server.host();
    let output = host.run(&sh("echo out; printf err >&2; exit 255")).await.unwrap();
    assert_eq!(output.status.code(), 255, "a lost connection looks different");
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err"[..]));
    assert_eq!(host.run(&sh("exit 127")).await.unwrap().status.code(), 127);
    assert_eq!(host.run(&sh("kill -9 $$")).await.unwrap().status.signal(), Some(9));
    let error = async |program: &str| host.run(&Command::new(program)).await.unwrap_err();
    // Words of the shell are none of a command's.
    for program in ["no-such-program", "/no/such/program", "exit", "cd"] {
        let error = error(program).await;
        assert!(matches!(error, TransportError::NotFound { .. }), "{error}");
        assert!(error.to_string().contains(program) && error.to_string().contains("127.0.0.1"));
    }
    assert!(matches!(error("/etc/passwd").await, TransportError::NotRunnable { .. }));
    let long = host.run(&Command::new("true").arg("a".repeat(200_000))).await.unwrap_err();
    assert!(matches!(long, TransportError::Unacceptable { .. }), "{long}");
    let most = host.run(&Command::new("true").arg("a".repeat(125_000))).await.unwrap();
    assert!(most.status.success(), "{}", most.last_words());
    let failed = succeed(&host, &sh("seq 1 50 >&2; exit 4").stdin("hunter2")).await.unwrap_err();
    assert!(failed.to_string().ends_with("\n49\n50") && !format!("{failed:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_ends_the_command_at_the_other_end_too() {
    let server = Server::start();
    let host = Arc::new(server.host());
    host.run(&Command::new("true")).await.unwrap();
    let command = sh("sleep 300 & echo $$ $! >&2; wait").limit(Duration::from_secs(1));
    let begin = Instant::now();
    let error = host.run(&command).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let TransportError::TimedOut { ended: true, last_words, .. } = error else { panic!("{error}") };
    are_gone(&server, &last_words).await;
    // Who does not listen is killed.
    let deaf = sh("trap '' TERM; echo $$ >&2; sleep 300; sleep 300").limit(Duration::from_secs(1));
    let error = host.run(&deaf).await.unwrap_err();
    let TransportError::TimedOut { ended: true, last_words, .. } = error else { panic!("{error}") };
    are_gone(&server, &last_words).await;
    // What is in time leaves nothing that would wait for the limit.
    let quick = sh("exit 3").limit(Duration::from_secs(4321));
    assert_eq!(host.run(&quick).await.unwrap().status.code(), 3);
    assert!(!server.try_exec("pgrep -f 'sleep [4]3'"), "{}", server.exec("ps -ef"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_itself_ends_what_takes_too_long_once_nobody_can_tell_it() {
    let server = Server::start();
    let host = Arc::new(server.host());
    let command =
        sh("trap '' HUP PIPE; sleep 300 & echo $$ $!; wait").limit(Duration::from_secs(1));
    let (task, ids) = started(&host, command).await;
    server.kill_connections();
    let error = task.await.unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error}");
    assert!(server.try_exec(&format!("kill -0 {ids}")), "both still run");
    are_gone(&server, &ids).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_nobody_waits_for_ends_here_and_there() {
    let server = Server::start();
    let host = Arc::new(server.host());
    let (task, ids) = started(&host, sh("sleep 300 & echo $$ $!; wait")).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    are_gone(&server, &ids).await;
    assert_eq!(server.clients(), 1, "the connection's own");
    drop(host);
    let begin = Instant::now();
    while server.clients() > 0 {
        assert!(begin.elapsed() < Duration::from_secs(5));
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_connection_is_told_and_the_next_command_has_a_new_one() {
    let server = Server::start();
    let host = Arc::new(server.host());
    let before = connection(&*host).await;
    let (task, _) = started(&host, sh("echo begun; echo so far >&2; exec sleep 300")).await;
    server.kill_connections();
    let error = timeout(Duration::from_secs(5), task).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }) && error.is_temporary(), "{error}");
    assert!(error.to_string().contains("may or may not have ended"), "{error}");
    assert_ne!(connection(&*host).await, before);
    // Also where no command was there to notice.
    server.kill_connections();
    sleep(Duration::from_millis(500)).await;
    connection(&*host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_is_noticed_and_used_again_once_it_is_back() {
    let server = Server::start();
    let host = Arc::new(server.host());
    let (task, _) = started(&host, sh("echo begun; exec sleep 300")).await;
    server.docker("pause");
    let begin = Instant::now();
    let error = timeout(Duration::from_secs(30), task).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, TransportError::Lost { .. }), "{error}");
    assert!(begin.elapsed() > Duration::from_secs(5), "it was patient");
    server.docker("unpause");
    connection(&*host).await;
    // A connection that was idle is tried before a command is risked on it.
    sleep(Duration::from_secs(3)).await;
    server.docker("pause");
    let error = host.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { temporary: true, .. }), "{error}");
    server.docker("unpause");
    connection(&*host).await;
    server.docker("stop");
    let error = host.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { temporary: true, .. }), "{error}");
    assert!(error.is_temporary());
    server.docker("start");
    server.wait();
    connection(&*host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_users_that_are_not_known_are_refused_without_a_question() {
    let server = Server::start();
    let refused = async |config: &[(&str, &str)]| {
        let host = Ssh::new(&server.address()).unwrap().with_config(server.config(config));
        let begin = Instant::now();
        let error = host.run(&Command::new("true")).await.unwrap_err();
        assert!(begin.elapsed() < Duration::from_secs(10), "{error}");
        error
    };
    let unknown = refused(&[("UserKnownHostsFile", "/dev/null")]).await;
    assert!(matches!(unknown, TransportError::HostKeyUnknown { .. }), "{unknown}");
    let changed = refused(&[("UserKnownHostsFile", &server.false_hosts())]).await;
    assert!(matches!(changed, TransportError::HostKeyChanged { .. }), "{changed}");
    let denied = refused(&[("IdentityFile", &server.foreign_key())]).await;
    assert!(matches!(denied, TransportError::AuthenticationRefused { .. }), "{denied}");
    for error in [&unknown, &changed, &denied] {
        assert!(!error.is_temporary() && error.to_string().contains("root@127.0.0.1"), "{error}");
    }
    let nobody = Ssh::new("ssh://root@127.0.0.1:1").unwrap().with_config(server.config(&[]));
    let error = nobody.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { temporary: true, .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let nowhere = Ssh::new("root@no-such-host.invalid").unwrap().with_config(server.config(&[]));
    let error = nowhere.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::Unreachable { .. }), "{error}");
    server.exec("useradd --shell /usr/sbin/nologin --create-home guest && cp -r /root/.ssh /home/guest && chown -R guest /home/guest/.ssh");
    let address = server.address().replace("root", "guest");
    let guest = Ssh::new(&address).unwrap().with_config(server.config(&[]));
    let error = guest.run(&Command::new("true")).await.unwrap_err();
    assert!(matches!(error, TransportError::NoShell { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_login_shells_say_is_not_the_commands() {
    let server = Server::start();
    server.exec("printf 'echo Welcome; echo Beware >&2\\n' > /root/.bashrc");
    let host = server.host();
    let output = host.run(&sh("echo out; echo err >&2")).await.unwrap();
    assert_eq!((&*output.stdout, &*output.stderr), (&b"out\n"[..], &b"err\n"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_told_while_the_command_runs() {
    let server = Server::start();
    let host = Arc::new(server.host());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = heard.clone();
    let command = sh("echo one; sleep 0.5; echo two >&2; sleep 300");
    let command =
        command.on_line(move |from, line| listener.lock().unwrap().push((from, line.to_owned())));
    let task = tokio::spawn(async move { host.run(&command).await });
    let begin = Instant::now();
    while heard.lock().unwrap().len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(20)).await;
    }
    assert!(!task.is_finished());
    task.abort();
    let expected = [(Channel::Stdout, "one".to_owned()), (Channel::Stderr, "two".to_owned())];
    assert_eq!(*heard.lock().unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_put_whole_with_their_modes() {
    let server = Server::start();
    let host = server.host();
    server.exec(
        "mkdir -p /srv/app && echo old > /srv/app/config && ln /srv/app/config /srv/app/other",
    );
    let hostile = "/srv/app/it's $(id) \\ \"quoted\"\n* ü";
    let deep = format!("/srv/{}/leaf", ["deep"; 60].join("/"));
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let entries = [
        Entry::folder("/srv/app/secrets", 0o700),
        Entry::file("/srv/app/secrets/token", "hunter2", 0o400),
        Entry::file("/srv/app/config", "new\n", 0o644),
        Entry::file("/srv/app/run", bytes.clone(), 0o4755),
        Entry::file(hostile, "x", 0o600),
        Entry::file(&deep, "y", 0o640),
        Entry::file("/top", "z", 0o600),
    ];
    put(&host, &entries).await.unwrap();
    let stat =
        async |path: &str| text(&host, &Command::new("stat").args(["-c", "%a %U %s", path])).await;
    assert_eq!(stat("/srv/app/secrets").await, "700 root 4096");
    assert_eq!(stat("/srv/app/secrets/token").await, "400 root 7");
    assert_eq!(stat("/srv/app/config").await, "644 root 4");
    assert_eq!(stat("/srv/app/run").await, "4755 root 3000000");
    assert_eq!(stat(hostile).await, "600 root 1");
    assert_eq!(stat(&deep).await, "640 root 1");
    assert_eq!(stat("/top").await, "600 root 1");
    assert!(succeed(&host, &Command::new("cat").arg("/srv/app/run")).await.unwrap() == bytes);
    // The old file is still there for those who have it open, unchanged.
    assert_eq!(server.exec("cat /srv/app/other"), "old\n");
    assert_eq!(server.exec("find / -xdev -name '.deployix-*'"), "");
    let words = format!("{entries:?}");
    assert!(!words.contains("hunter2"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_never_seen_in_part_and_none_is_replaced_where_one_cannot_be() {
    let server = Server::start();
    let host = server.host();
    let file = |byte: u8| Entry::file("/srv/whole", vec![byte; 2_000_000], 0o644);
    put(&host, &[file(b'a')]).await.unwrap();
    // Whoever looks sees one letter, two million times.
    let watch = "while [ ! -e /stop ]; do tr -s ab < /srv/whole; echo; done | sort -u";
    let watch = sh(watch);
    let watching = host.run(&watch);
    let putting = async {
        for byte in b"babababa" {
            put(&host, &[file(*byte)]).await.unwrap();
        }
        put(&host, &[Entry::file("/stop", "", 0o600)]).await.unwrap();
    };
    let (seen, ()) = tokio::join!(watching, putting);
    assert_eq!(seen.unwrap().stdout, b"a\nb\n");

    let entries = [
        Entry::file("/srv/whole", "new", 0o644),
        // A file stands where a folder is needed.
        Entry::file("/etc/passwd/below", "new", 0o644),
    ];
    let error = put(&host, &entries).await.unwrap_err();
    assert!(matches!(error, TransportError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("Not a directory"), "{error}");
    assert_eq!(server.exec("head -c 3 /srv/whole"), "aaa");
    assert_eq!(server.exec("find / -xdev -name '.deployix-*'"), "");
    for path in ["relative", "/a/../b", "/", "", "/nul\0"] {
        let error = put(&host, &[Entry::file(path, "", 0o600)]).await.unwrap_err();
        assert!(matches!(error, TransportError::Unacceptable { .. }), "{path}: {error}");
    }
}

#[test]
fn an_address_leads_to_this_machine_or_over_ssh() {
    assert_eq!(connect("local").unwrap().host(), "this machine");
    assert_eq!(connect("root@rack1").unwrap().host(), "root@rack1");
    assert!(connect("https://rack1").is_err());
}
