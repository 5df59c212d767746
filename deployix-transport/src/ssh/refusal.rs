//! What OpenSSH's client means when it gives up.
//!
//! It says so in words alone, which no locale changes; they are those of OpenSSH's `sshconnect.c`,
//! `sshconnect2.c` and `misc.c`.

use crate::{TransportError, output::last_words};

/// The error that the client's last words stand for.
pub(super) fn refusal(host: &str, said: &[u8]) -> TransportError {
    let said = last_words(said);
    let host = host.to_owned();
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    if has(&["IDENTIFICATION HAS CHANGED", "host key for", "Host key verification failed"]) {
        let key = ["fingerprint for", "host key is known for", "Offending"];
        let why = line_with(&said, &key).unwrap_or_else(|| last(&said));
        return if has(&["IDENTIFICATION HAS CHANGED", "revoked"]) {
            TransportError::HostKeyChanged { host, why }
        } else {
            TransportError::HostKeyUnknown { host, why }
        };
    }
    let denied = ["Permission denied (", "Too many authentication failures"];
    if let Some(why) = line_with(&said, &denied) {
        return TransportError::AuthenticationRefused { host, why };
    }
    let temporary = has(&[
        "Connection closed",
        "Connection refused",
        "Connection reset",
        "Connection timed out",
        "Operation timed out",
        "No route to host",
        "Network is unreachable",
        "Temporary failure in name resolution",
        "not responding",
        "closed by remote host",
        "timed out",
    ]);
    TransportError::Unreachable { host, why: last(&said), temporary }
}

fn line_with(said: &str, parts: &[&str]) -> Option<String> {
    let line = said.lines().find(|line| parts.iter().any(|part| line.contains(part)));
    line.map(|line| line.trim().trim_start_matches("ssh: ").to_owned())
}

fn last(said: &str) -> String {
    match said.lines().last() {
        Some(line) => line.trim().trim_start_matches("ssh: ").to_owned(),
        None => "its client ended without a word".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_words_are_understood() {
        let unreachable = |said: &str| match refusal("rack1", said.as_bytes()) {
            TransportError::Unreachable { temporary, .. } => temporary,
            other => panic!("{other}"),
        };
        assert!(unreachable("ssh: connect to host rack1 port 22: Connection refused\r\n"));
        assert!(unreachable("kex_exchange_identification: Connection closed by remote host\r\n"));
        assert!(unreachable(
            "ssh: Could not resolve hostname rack1: Temporary failure in name resolution"
        ));
        assert!(!unreachable(
            "ssh: Could not resolve hostname rack1: Name or service not known\r\n"
        ));
        assert!(!unreachable(
            "/x: line 1: Bad configuration option: foo\n/x: terminating, 1 bad configuration options"
        ));
        assert!(!unreachable(""));

        let unknown = "No ED25519 host key is known for rack1 and you have requested strict checking.\r\n\
                       Host key verification failed.\r\n";
        let unknown = refusal("rack1", unknown.as_bytes());
        assert!(matches!(unknown, TransportError::HostKeyUnknown { .. }), "{unknown}");
        assert!(unknown.to_string().contains("No ED25519 host key is known"), "{unknown}");
        let changed = "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@\n\
                       The fingerprint for the ED25519 key sent by the remote host is\nSHA256:x.\n\
                       Offending ED25519 key in /h:1\nHost key verification failed.\n";
        let changed = refusal("rack1", changed.as_bytes());
        assert!(matches!(changed, TransportError::HostKeyChanged { .. }), "{changed}");
        let denied = refusal("rack1", b"root@rack1: Permission denied (publickey).\r\n");
        let TransportError::AuthenticationRefused { why, .. } = denied else { panic!("{denied}") };
        assert_eq!(why, "root@rack1: Permission denied (publickey).");
    }
}
