//! Health checks: scripts that work in an image of which little is known.
//!
//! A check runs inside the container. bash can connect by itself, and every Debian has it; ready
//! images have one of busybox's nc and wget, or curl, more often than not.

use crate::script::HOME;

/// What the script is called among what this backend adds to an image.
pub(crate) const FILE: &str = "ready";

/// A check: a script of the image, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// The script's text.
    pub(crate) script: &'static str,
    arguments: Vec<String>,
}

impl Check {
    /// The command that runs it in a container.
    pub(crate) fn command(&self) -> Vec<String> {
        let script = ["/bin/sh".to_owned(), format!("{HOME}/{FILE}")];
        script.into_iter().chain(self.arguments.iter().cloned()).collect()
    }
}

/// Succeeds if the port `$1` accepts a connection.
const TCP: &str = r#"#!/bin/sh
# Made by Deployix: succeeds if a port accepts a connection.
if command -v bash >/dev/null 2>&1; then
  exec bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"' bash "$1"
fi
exec nc -z 127.0.0.1 "$1"
"#;

/// Succeeds if a GET of `$2` from the port `$1`, with the host name `$3`, has a status from 200 to 399.
const HTTP: &str = r#"#!/bin/sh
# Made by Deployix: succeeds if a GET request does.
if command -v curl >/dev/null 2>&1; then
  exec curl -fsS -o /dev/null -H "Host: $3" -- "http://127.0.0.1:$1$2"
elif command -v bash >/dev/null 2>&1; then
  exec bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$3" >&3
    read -r _ status _ <&3
    [[ $status =~ ^[23][0-9][0-9] ]]' bash "$1" "$2" "$3"
fi
exec wget -q -O /dev/null --header "Host: $3" "http://127.0.0.1:$1$2"
"#;

/// The same over TLS, whose certificate is not for this address and so not checked.
const HTTPS: &str = r#"#!/bin/sh
# Made by Deployix: succeeds if a GET request over TLS does.
if command -v curl >/dev/null 2>&1; then
  exec curl -fksS -o /dev/null -H "Host: $3" -- "https://127.0.0.1:$1$2"
fi
exec wget -q -O /dev/null --no-check-certificate --header "Host: $3" "https://127.0.0.1:$1$2"
"#;

/// Tries to connect to a TCP port.
pub(crate) fn tcp(port: u16) -> Check {
    Check { script: TCP, arguments: vec![port.to_string()] }
}

/// Tries a GET request.
pub(crate) fn http(port: u16, path: &str, host: &str, tls: bool) -> Check {
    Check {
        script: if tls { HTTPS } else { HTTP },
        arguments: vec![port.to_string(), path.to_owned(), host.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        process::Command,
        thread,
    };

    use super::*;

    fn succeeds(check: &Check) -> bool {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", check.script, "sh"]).args(&check.arguments);
        command.output().unwrap().status.success()
    }

    /// A server that answers one request with a status line, and what it was asked.
    fn answering(status: &'static str) -> (u16, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            let _ = write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (port, server)
    }

    #[test]
    fn a_port_is_ready_once_it_accepts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(succeeds(&tcp(port)));
        drop(listener);
        assert!(!succeeds(&tcp(port)));
    }

    #[test]
    fn a_request_is_ready_with_a_status_of_success_alone() {
        for (status, ready) in
            [("200 OK", true), ("302 Found", true), ("404 No", false), ("500 No", false)]
        {
            let (port, server) = answering(status);
            let check = http(port, "/health?a='$x'", "web.example.com", false);
            assert_eq!(succeeds(&check), ready, "{status}");
            let request = server.join().unwrap();
            assert!(request.starts_with("GET /health?a='$x' HTTP/1."), "{request}");
            assert!(request.contains("Host: web.example.com\r\n"), "{request}");
        }
    }
}
