//! One process of this machine, from its start to its end.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};
use zeroize::Zeroizing;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// A process and what it starts, which all go when this is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    id: Option<Pid>,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let id = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        Ok(Self { child, id })
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // It fails where nothing is left, which is fine.
            let _ = kill_process_group(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once somebody has waited for the process, its number may be another's.
        if self.child.id().is_some() {
            self.signal(Signal::KILL);
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(crate) enum End {
    Itself(ExitStatus),
    TimedOut,
}

/// Runs a process until it has ended and nobody holds its standard output and error any more.
/// `stdout` and `stderr` take what it writes line by line, newlines included.
///
/// # Errors
/// It cannot be started or waited for.
pub(crate) async fn run(
    command: &mut Command,
    stdin: Option<Arc<Zeroizing<Vec<u8>>>>,
    limit: Option<Duration>,
    stdout: impl FnMut(&[u8]),
    stderr: impl FnMut(&[u8]),
) -> io::Result<End> {
    let input = if stdin.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::start(command)?;
    let feed = feed(group.child.stdin.take(), stdin);
    let written = (group.child.stdout.take(), group.child.stderr.take());
    let id = group.id;
    let mut work = pin!(async {
        let read = async {
            tokio::try_join!(lines(written.0, stdout), lines(written.1, stderr))?;
            // Only now, so that the number of the group is nobody else's before.
            group.child.wait().await
        };
        // Who does not read what it is given need not.
        tokio::select! { never = feed => match never {}, ended = read => ended }
    });
    let Some(limit) = limit else { return work.await.map(End::Itself) };
    if let Ok(ended) = timeout(limit, &mut work).await {
        return ended.map(End::Itself);
    }
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(id) = id {
            let _ = kill_process_group(id, signal);
        }
        if timeout(GRACE, &mut work).await.is_ok() {
            break;
        }
    }
    Ok(End::TimedOut)
}

/// Gives a process its input and closes it; goes on for ever, as what follows is up to the process.
async fn feed(pipe: Option<ChildStdin>, bytes: Option<Arc<Zeroizing<Vec<u8>>>>) -> Infallible {
    if let (Some(mut pipe), Some(bytes)) = (pipe, bytes) {
        // It fails where the process has closed its end: it has read what it wanted.
        let _ = pipe.write_all(&bytes).await;
    }
    std::future::pending().await
}

async fn lines(
    pipe: Option<impl AsyncRead + Unpin>,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut pipe = BufReader::with_capacity(1 << 16, pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).await? > 0 {
        each(&line);
        line.clear();
    }
    Ok(())
}
