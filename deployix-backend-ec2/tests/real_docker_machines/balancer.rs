//! A port of a load balancer, passed on for real to the machines behind it that are well.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a machine has to answer.
const WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Balancer {
    port: u16,
    shared: Arc<Shared>,
    accepts: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    machines: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    ends: AtomicBool,
}

impl Balancer {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let accepts = Some(thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        }));
        Self { port, shared, accepts }
    }

    /// The port of this machine under which it is reached.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Passes connections on to these from now on.
    pub(crate) fn lead_to(&self, machines: Vec<SocketAddr>) {
        *self.shared.machines.lock().unwrap() = machines;
    }
}

impl Shared {
    fn accept(&self, listener: &TcpListener) {
        while !self.ends.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((client, _)) => self.pass_on(client),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Where there is nobody to pass it on to, the connection is closed.
    fn pass_on(&self, client: TcpStream) {
        let machine = {
            let machines = self.machines.lock().unwrap();
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            machines.get(at % machines.len().max(1)).copied()
        };
        let Some(machine) = machine else { return };
        thread::spawn(move || -> io::Result<()> {
            client.set_nonblocking(false)?;
            let machine = TcpStream::connect_timeout(&machine, WITHIN)?;
            let (mut from, mut to) = (client.try_clone()?, machine.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to) = (machine, client);
            io::copy(&mut from, &mut to)?;
            to.shutdown(Shutdown::Write)
        });
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        let _ = self.accepts.take().map(JoinHandle::join);
    }
}

/// Whether a machine takes connections.
pub(crate) fn is_well(machine: SocketAddr) -> bool {
    TcpStream::connect_timeout(&machine, WITHIN).is_ok()
}
