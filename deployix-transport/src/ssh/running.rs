//! A command that runs at the other end, and goes when nobody waits for it any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, time::timeout};

use super::{connection::Connection, remote};
use crate::process::{self, End};

/// How long it may take to tell a host that a command has to end, and to see that it has.
const ENDING: Duration = Duration::from_secs(12);

/// Dropped while its command runs, it has the host end the command; somebody else's time is taken
/// for that, as long as there is a runtime.
#[derive(Debug)]
pub(super) struct Running {
    connection: Arc<Connection>,
    /// The process group at the other end; 0 while it is not known, and once it has ended.
    group: AtomicU32,
}

impl Running {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, group: AtomicU32::new(0) }
    }

    /// The command runs in this process group.
    pub(super) fn runs_in(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// The command has ended, or its end can no longer be heard of.
    pub(super) fn is_over(&self) {
        self.group.store(0, Ordering::Relaxed);
    }

    /// Has the host end the command; whether it did.
    pub(super) async fn end(&self) -> bool {
        let group = self.group.load(Ordering::Relaxed);
        let ended = group != 0 && end(&self.connection, group).await;
        self.is_over();
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = *self.group.get_mut();
        if group != 0
            && let Ok(runtime) = Handle::try_current()
        {
            let connection = self.connection.clone();
            runtime.spawn(async move { end(&connection, group).await });
        }
    }
}

async fn end(connection: &Connection, group: u32) -> bool {
    let ended = async {
        // It is never closed.
        let _turn = connection.endings.acquire().await;
        let mut client = connection.client(&remote::end(group));
        process::run(&mut client, None, None, |_| {}, |_| {}).await
    };
    matches!(timeout(ENDING, ended).await, Ok(Ok(End::Itself(status))) if status.success())
}
