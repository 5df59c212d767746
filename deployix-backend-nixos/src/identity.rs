//! Users and their ids, computed from names alone.
//!
//! The same name gets the same id on every machine and in every generation, so files keep their
//! owner when a service moves or a disk is attached elsewhere, and no evaluation or activation has
//! to remember anything.
//!
//! Ids lie in 0x70000000 ..= 0x77FFFFFF (1879048192 to 2013265919). systemd's list of ranges
//! (<https://systemd.io/UIDS-GIDS>) gives this one to nobody:
//!
//! | ids | are |
//! |---|---|
//! | 0 to 999 | root, the system's own users; below 400 those of nixpkgs' `misc/ids.nix` |
//! | 1000 to 60000 | people |
//! | 60001 to 60577 | systemd-homed's, and the host's in containers |
//! | 61184 to 65519 | dynamic users |
//! | 65534, 65535, 4294967295 | nobody, and -1 in 16 and 32 bits |
//! | 524288 to 1879048191 | containers |
//! | **1879048192 to 2147352575** | nobody's: ours are at its start |
//! | 2147352576 to 2147418111 | foreign images |
//! | 2147483648 and more | what many programs take for negative |

use std::collections::{BTreeMap, BTreeSet};

use deployix_core::spec::UserName;

/// The first id that can be given.
const FIRST: u32 = 0x7000_0000;
/// How many bits of a name's hash choose the id.
const BITS: u32 = 27;

/// Users and groups that NixOS itself defines on every machine, with ids of its own, or that its
/// common modules add (nixpkgs, `nixos/modules/misc/ids.nix` and `users-groups.nix`).
const RESERVED: [&str; 30] = [
    "adm",
    "audio",
    "cdrom",
    "clock",
    "dialout",
    "disk",
    "floppy",
    "input",
    "kmem",
    "kvm",
    "lp",
    "messagebus",
    "nobody",
    "nogroup",
    "nscd",
    "polkituser",
    "render",
    "resolvconf",
    "root",
    "rtkit",
    "sgx",
    "shadow",
    "sshd",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "video",
    "wheel",
];

/// Tells whether NixOS defines a user or group of that name by itself.
pub(crate) fn is_reserved(user: &str) -> bool {
    RESERVED.contains(&user) || user.starts_with("nixbld") || user.starts_with("systemd-")
}

/// The id of a user and of its group. `attempt` is 0 unless ids meet on one machine.
pub(crate) fn id(user: &str, attempt: u32) -> u32 {
    let mut hasher = blake3::Hasher::new_derive_key("deployix nixos 2026 user id");
    hasher.update(user.as_bytes());
    hasher.update(&attempt.to_le_bytes());
    let hash = hasher.finalize();
    let [a, b, c, d, ..] = *hash.as_bytes();
    FIRST + (u32::from_le_bytes([a, b, c, d]) & ((1 << BITS) - 1))
}

/// The user that a functionality runs as where its spec names none: of the same name where that can
/// be a user's name, else as near to it as possible.
pub(crate) fn user_for(functionality: &str) -> String {
    let fits = |name: &str| UserName::new(name).is_ok() && !is_reserved(name);
    if fits(functionality) {
        return functionality.to_owned();
    }
    let prefixed = format!("_{functionality}");
    if fits(&prefixed) {
        return prefixed;
    }
    // Too long: 31 characters are allowed, and two long names may begin alike.
    let hash = blake3::hash(functionality.as_bytes()).to_hex();
    format!("_{}-{}", &functionality[..20], &hash[..8])
}

/// Users that share a machine, with ids of their own.
///
/// Of users whose ids meet, the first in the order of names keeps its id and the others get the
/// next one computed from their names, so that the result depends on the set of users alone. Gives
/// back who was moved.
pub(crate) fn settle<'a>(users: impl IntoIterator<Item = &'a str>) -> Vec<Moved<'a>> {
    let users: BTreeSet<&str> = users.into_iter().collect();
    let mut taken = BTreeMap::new();
    let mut moved = Vec::new();
    for user in users {
        let mut attempt = 0;
        while taken.contains_key(&id(user, attempt)) {
            attempt += 1;
        }
        if attempt > 0 {
            let from = taken.get(&id(user, 0)).copied().unwrap_or(user);
            moved.push(Moved { user, id: id(user, attempt), met: from });
        }
        taken.insert(id(user, attempt), user);
    }
    moved
}

/// A user whose id had to be another than its name alone gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved<'a> {
    /// The user.
    pub(crate) user: &'a str,
    /// Its id now.
    pub(crate) id: u32,
    /// Who has the id that would have been its own.
    pub(crate) met: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_change() {
        assert_eq!(id("hydra", 0), 1_906_480_883);
        assert_eq!(id("postgres", 0), 1_945_606_946);
    }

    #[test]
    fn ids_lie_in_the_range_that_systemd_leaves_free() {
        for n in 0..10_000 {
            let id = id(&format!("user-{n}"), n % 3);
            assert!((1_879_048_192..=2_013_265_919).contains(&id), "{id}");
        }
    }

    #[test]
    fn ten_thousand_users_have_ten_thousand_ids_in_any_order() {
        // Whoever meets is found by trying; among as many names there may be none.
        let mut names: Vec<String> = (0..10_000).map(|n| format!("u{n}")).collect();
        let moved = settle(names.iter().map(String::as_str));
        assert!(!moved.is_empty());
        let mut ids: BTreeMap<&str, u32> =
            names.iter().map(|name| (name.as_str(), id(name, 0))).collect();
        for moved in &moved {
            assert_eq!(id(moved.user, 0), ids[moved.met]);
            ids.insert(moved.user, moved.id);
        }
        assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), 10_000);
        for id in ids.values() {
            assert!((1_879_048_192..=2_013_265_919).contains(id), "{id}");
        }
        let told: Vec<(String, u32)> =
            moved.iter().map(|moved| (moved.user.to_owned(), moved.id)).collect();
        names.reverse();
        let again = settle(names.iter().map(String::as_str));
        assert!(again.iter().map(|moved| (moved.user.to_owned(), moved.id)).eq(told));
    }

    #[test]
    fn users_whose_ids_meet_are_told_apart_the_same_way_in_any_order() {
        let mut seen = BTreeMap::new();
        let (first, second) = (0..)
            .find_map(|n| {
                let name = format!("u{n}");
                seen.insert(id(&name, 0), name.clone()).map(|before| (before, name))
            })
            .expect("27 bits meet after some ten thousand names");
        let (first, second) = if first < second { (first, second) } else { (second, first) };
        let expected = [Moved { user: &second, id: id(&second, 1), met: &first }];
        assert_eq!(settle([first.as_str(), &second, "other"]), expected);
        assert_eq!(settle([second.as_str(), "other", &first]), expected);
        assert_ne!(id(&second, 1), id(&first, 0));
        assert_eq!(settle([first.as_str(), "other"]), []);
    }

    #[test]
    fn every_functionality_has_a_name_that_can_be_a_users() {
        let long = "x".repeat(63);
        for (functionality, user) in [
            ("hydra-web", "hydra-web"),
            ("3proxy", "_3proxy"),
            ("video", "_video"),
            (long.as_str(), "_xxxxxxxxxxxxxxxxxxxx-2aa93a47"),
        ] {
            let made = user_for(functionality);
            assert!(UserName::new(&made).is_ok(), "{made}");
            if !made.starts_with("_xx") {
                assert_eq!(made, user);
            }
        }
        assert_ne!(
            user_for(&format!("{}a", "x".repeat(40))),
            user_for(&format!("{}b", "x".repeat(40)))
        );
        // 31 characters fit, with a prefix they do not.
        assert!(UserName::new(&user_for(&format!("3{}", "x".repeat(30)))).is_ok());
    }
}
