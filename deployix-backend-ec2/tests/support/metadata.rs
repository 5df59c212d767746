//! A machine's metadata service, version 2, and the small server that it is.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The region that it tells.
pub(crate) const REGION: &str = "eu-central-1";

/// A request: its first line, its other lines, its body.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut asked = Self { line: lines.remove(0), headers: lines, body: Vec::new() };
        let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body).unwrap();
        Some(asked)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().filter_map(|line| line.split_once(": "));
        all.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// A server of a test's own; where it listens.
pub(crate) fn serve(answer: impl Fn(&Asked) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(asked) = Asked::read(&stream) else { continue };
            let (status, body) = answer(&asked);
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {length}");
            write!(stream, "{head}\r\n\r\n{body}").unwrap();
        }
    });
    at
}

/// A metadata service that tells of the machine's role only after it was asked so many times for it
/// (Amazon EC2 User Guide, "Use the Instance Metadata Service" and "Retrieve security credentials
/// from instance metadata").
pub(crate) fn service(late: usize) -> String {
    let asked_for_role = AtomicUsize::new(0);
    serve(move |asked| {
        let found = |body: &str| (200, body.to_owned());
        if asked.line.starts_with("PUT /latest/api/token ") {
            let seconds = asked.header("x-aws-ec2-metadata-token-ttl-seconds").unwrap();
            assert!((1..=21600).contains(&seconds.parse().unwrap()), "{seconds}");
            return found("the-token");
        }
        if asked.header("x-aws-ec2-metadata-token") != Some("the-token") {
            return (401, String::new());
        }
        let path = asked.line.strip_prefix("GET /latest/meta-data/").unwrap();
        match path.split(' ').next().unwrap() {
            "placement/region" => found(REGION),
            "services/domain" => found("amazonaws.com"),
            "iam/security-credentials/" => {
                if asked_for_role.fetch_add(1, Ordering::SeqCst) < late {
                    return (404, String::new());
                }
                found("db")
            }
            "iam/security-credentials/db" => found(
                "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : \"ASIAEXAMPLE\",\n  \
                 \"SecretAccessKey\" : \"wJalr/XUtn+FEMI=\",\n  \"Token\" : \"IQoJb3/JpZ2+luX==\"\n}",
            ),
            other => panic!("{other}"),
        }
    })
}
