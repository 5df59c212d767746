//! Asking a server again and again while something else happens.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a server on this machine answers.
pub(crate) fn get(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(io::Error::other("an empty answer")) } else { Ok(answer) }
}

/// One answer, or why there was none.
#[derive(Debug)]
pub(crate) struct Answer {
    /// How long after the first request it was asked for.
    pub(crate) at: Duration,
    pub(crate) text: Result<String, String>,
}

impl Answer {
    /// Whether it is a page.
    pub(crate) fn is_good(&self) -> bool {
        let ok = ["HTTP/1.0 200", "HTTP/1.1 200"];
        self.text.as_ref().is_ok_and(|text| ok.iter().any(|ok| text.starts_with(ok)))
    }
}

/// Asks a server again and again until it is told to stop.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Answer>>,
}

impl Probe {
    pub(crate) fn start(port: u16, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            let mut answers = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let at = begin.elapsed();
                let text = get(port, path).map_err(|error| error.to_string());
                answers.push(Answer { at, text });
                thread::sleep(Duration::from_millis(10));
            }
            answers
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        Answers(self.thread.join().unwrap())
    }
}

/// All answers, in order.
pub(crate) struct Answers(pub(crate) Vec<Answer>);

impl Answers {
    pub(crate) fn failed(&self) -> Vec<&Answer> {
        self.0.iter().filter(|answer| !answer.is_good()).collect()
    }

    /// Whether some good answer has this in it.
    pub(crate) fn have(&self, part: &str) -> bool {
        self.0.iter().any(|a| a.is_good() && a.text.as_ref().is_ok_and(|text| text.contains(part)))
    }
}
