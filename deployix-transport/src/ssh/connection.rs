//! One connection to a host, which many commands share.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout, Command},
    sync::Semaphore,
    time::timeout,
};

use super::{address::Address, refusal::refusal};
use crate::{TransportError, output::last_words, process::Group, quote, word};

/// How long the client may take for the connection and the first exchange, in seconds.
const CONNECT: u32 = 15;

/// How long all of it may take, also where a key has to be touched.
const READY: Duration = Duration::from_secs(120);

/// A connection that has been silent for so long is tried before it is used.
const SILENCE: Duration = Duration::from_secs(2);

/// How long the host may take to answer then.
const ANSWER: Duration = Duration::from_secs(10);

/// Commands at once. Servers allow 10 (`MaxSessions` of sshd_config(5)); the connection itself
/// takes one, and one is left for ending commands.
const COMMANDS: usize = 8;

/// The most bytes that the path of a socket may have, less what the client adds while it makes it
/// (unix(7), and `muxserver_listen` of OpenSSH).
const SOCKET_PATH: usize = 108 - 20;

/// An open connection: the process of a client that others pass their commands to. It goes with
/// this value, and with this process, however that ends: its standard input is then at its end.
#[derive(Debug)]
pub(super) struct Connection {
    client: Mutex<Group>,
    line: tokio::sync::Mutex<Line>,
    suspect: AtomicBool,
    /// A permit for each command.
    pub(super) commands: Semaphore,
    /// A permit for whoever ends one.
    pub(super) endings: Semaphore,
    folder: TempDir,
}

/// A program at the other end that repeats what it is told.
#[derive(Debug)]
struct Line {
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
    heard: Instant,
}

impl Connection {
    /// Connects, and sees a first command run.
    pub(super) async fn open(
        address: &Address,
        config: Option<&Path>,
    ) -> Result<Self, TransportError> {
        let host = address.to_string();
        let failed = |source| TransportError::Client { host: host.clone(), source };
        let folder = folder().map_err(failed)?;
        let said = folder.path().join("said");
        let mut client = Command::new("ssh");
        if let Some(config) = config {
            client.arg("-F").arg(config);
        }
        client.arg("-S").arg(socket(folder.path()));
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ControlMaster=yes",
            "ControlPersist=no",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "TCPKeepAlive=yes",
            "ClearAllForwardings=yes",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "RemoteCommand=none",
            "LogLevel=INFO",
            &format!("ConnectTimeout={CONNECT}"),
        ] {
            client.args(["-o", option]);
        }
        client.arg("-T");
        if let Some(port) = address.port {
            client.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &address.user {
            client.args(["-l", user]);
        }
        // A word that the login shell's own greetings do not hold.
        let greeting = word::unguessable();
        let script = r#"printf '%s\n' "$0"; exec cat"#;
        client.args(["--", &address.host]).arg(shell(script, [greeting.as_ref()]));
        client.stdin(Stdio::piped()).stdout(Stdio::piped());
        client.stderr(fs::File::create(&said).map_err(failed)?);

        let mut group = Group::start(&mut client).map_err(failed)?;
        let (Some(ask), Some(answer)) = (group.child.stdin.take(), group.child.stdout.take())
        else {
            return Err(failed(io::ErrorKind::BrokenPipe.into()));
        };
        let mut answer = BufReader::new(answer);
        match timeout(READY, ready(&mut answer, &greeting)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => {
                let ended = timeout(ANSWER, group.child.wait()).await;
                let said = fs::read(&said).unwrap_or_default();
                // What the client itself cannot do ends with 255 (ssh(1)).
                return Err(match ended {
                    Ok(Ok(status)) if status.code() == Some(255) => refusal(&host, &said),
                    _ => TransportError::NoShell { host, why: last_words(&said) },
                });
            }
            Err(_) => {
                let why = format!("it let nobody in within {} seconds", READY.as_secs());
                return Err(TransportError::Unreachable { host, why, temporary: true });
            }
        }
        Ok(Self {
            client: Mutex::new(group),
            line: tokio::sync::Mutex::new(Line { ask, answer, heard: Instant::now() }),
            suspect: AtomicBool::new(false),
            commands: Semaphore::new(COMMANDS),
            endings: Semaphore::new(1),
            folder,
        })
    }

    /// Whether the host still answers.
    pub(super) async fn is_alive(&self) -> bool {
        let mut line = self.line.lock().await;
        let quiet = line.heard.elapsed() < SILENCE && !self.suspect.load(Ordering::Relaxed);
        self.is_open() && (quiet || line.answers().await)
    }

    /// Whether nothing has been heard of its end.
    pub(super) fn is_open(&self) -> bool {
        // Asking leaves it whole, so a panic elsewhere does not matter.
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(client.child.try_wait(), Ok(None))
    }

    /// Has the connection tried before it is used again.
    pub(super) fn suspect(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    /// A client that runs a command over this connection, and never over one of its own.
    pub(super) fn client(&self, line: &OsStr) -> Command {
        let mut client = Command::new("ssh");
        // Whatever the user's configuration says has been done with when the connection was made.
        client.args(["-F", "none", "-S"]).arg(socket(self.folder.path()));
        for option in ["ControlMaster=no", "BatchMode=yes", "ProxyCommand=false", "LogLevel=ERROR"]
        {
            client.args(["-o", option]);
        }
        client.args(["-T", "--", "host"]).arg(line);
        client
    }
}

impl Line {
    async fn answers(&mut self) -> bool {
        let asked = async {
            self.ask.write_all(b"\n").await?;
            self.answer.read_u8().await
        };
        let answered = matches!(timeout(ANSWER, asked).await, Ok(Ok(b'\n')));
        self.heard = Instant::now();
        answered
    }
}

/// Waits for a line to come; false where none does.
async fn ready(answer: &mut BufReader<ChildStdout>, word: &str) -> io::Result<bool> {
    let mut line = Vec::new();
    while answer.read_until(b'\n', &mut line).await? > 0 {
        if line.trim_ascii() == word.as_bytes() {
            return Ok(true);
        }
        line.clear();
    }
    Ok(false)
}

/// What a login shell is told so that `sh` runs a script.
pub(super) fn shell<'w>(
    script: &'w str,
    words: impl IntoIterator<Item = &'w OsStr>,
) -> std::ffi::OsString {
    let before = ["exec", "sh", "-c", script].map(OsStr::new);
    let line = quote::line(before.into_iter().chain(words));
    OsStr::from_bytes(&line).to_owned()
}

/// A folder of the user's alone, in which the path of a socket is short enough.
fn folder() -> io::Result<TempDir> {
    let only_user = fs::Permissions::from_mode(0o700);
    let make = |parent: &Path| {
        tempfile::Builder::new()
            .prefix("deployix-")
            .permissions(only_user.clone())
            .tempdir_in(parent)
    };
    let folder = make(&env::temp_dir())?;
    if socket(folder.path()).as_os_str().len() <= SOCKET_PATH {
        Ok(folder)
    } else {
        make(Path::new("/tmp"))
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_connection_is_the_users_alone() {
        let folder = folder().unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}
