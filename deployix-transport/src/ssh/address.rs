//! Where a host is.

use std::fmt;

use crate::TransportError;

/// A host, and as whom to log in there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<String>,
    /// A name or address, or a `Host` of the user's configuration.
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Address {
    /// Reads `HOST`, `USER@HOST`, or either with a port behind `ssh://`; an IPv6 address stands in
    /// brackets there (RFC 3986, section 3.2.2).
    pub(super) fn parse(text: &str) -> Result<Self, TransportError> {
        let wrong = |why| TransportError::Address { address: text.to_owned(), why };
        let (rest, is_url) = match text.split_once("://") {
            Some(("ssh", rest)) => (rest.strip_suffix('/').unwrap_or(rest), true),
            Some(_) => return Err(wrong("only ssh:// leads to a host")),
            None => (text, false),
        };
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
            let (host, port) = bracketed.split_once(']').ok_or_else(|| wrong("[ is not closed"))?;
            (host, port)
        } else if is_url {
            place.find(':').map_or((place, ""), |colon| place.split_at(colon))
        } else {
            (place, "")
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().map_err(|_| wrong("a port is a number up to 65535"))?),
            None if port.is_empty() => None,
            None => return Err(wrong("only a port can follow ]")),
        };
        // More than two colons make an IPv6 address.
        if !is_url && host.matches(':').count() == 1 {
            return Err(wrong("a port needs ssh:// in front"));
        }
        // The client would take a hyphen for an option; and what a shell reads is for commands of
        // the user's configuration, into which the client puts these names.
        let fine = |name: &str, more: &str| {
            let known = |c: char| c.is_alphanumeric() || "-_.".contains(c) || more.contains(c);
            !name.is_empty() && !name.starts_with('-') && name.chars().all(known)
        };
        if !fine(host, ":%") {
            return Err(wrong("the host's name is not one"));
        }
        // Some directories name users by domain: DOMAIN+user, user@domain, user$.
        if user.is_some_and(|user| !fine(user, "+@")) {
            return Err(wrong("the user's name is not one"));
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// As people write it: without the port where it is the usual one, and then as `ssh` takes it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port.is_some() {
            f.write_str("ssh://")?;
        }
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, user, host, port) in [
            ("rack1", None, "rack1", None),
            ("root@rack1.example.com", Some("root"), "rack1.example.com", None),
            ("me@example.com@rack1", Some("me@example.com"), "rack1", None),
            ("ssh://rack1", None, "rack1", None),
            ("ssh://root@rack1:2222/", Some("root"), "rack1", Some(2222)),
            ("ssh://root@[2001:db8::1]:22", Some("root"), "2001:db8::1", Some(22)),
            ("2001:db8::1", None, "2001:db8::1", None),
            ("[fe80::1%eth0]", None, "fe80::1%eth0", None),
        ] {
            let (user, host) = (user.map(str::to_owned), host.to_owned());
            assert_eq!(Address::parse(text).unwrap(), Address { user, host, port }, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "root@",
            "@rack1",
            "-oProxyCommand=id",
            "root@-F/x",
            "-l@rack1",
            "rack1:22",
            "ssh://rack1:",
            "ssh://rack1:65536",
            "ssh://rack1:22:22",
            "https://rack1",
            "ssh://",
            "a b",
            "a;id",
            "$(id)@a",
            "[::1",
            "[::1]x",
            "ssh://a/b",
            "a\n",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{text:?}")) && error.contains("write local"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(
            user in prop::option::of("[a-z][a-z0-9-]{0,8}"),
            host in "[a-z][a-z0-9.-]{0,12}|[0-9a-f]{1,4}::[0-9a-f]{1,4}",
            port in prop::option::of(any::<u16>())
        ) {
            let address = Address { user, host, port };
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = Address::parse(&text);
        }
    }
}
