//! Words as shells read them back.
//!
//! A login shell is whatever the host's owner likes, so only what `sh`, `bash`, `zsh` and `fish`
//! agree on is used: single quotes around what has no meaning between them, and a backslash
//! outside of quotes before a quote, a backslash (an escape between the quotes of `fish`) and an
//! exclamation mark (which `csh` replaces even there).

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// A word that a shell reads back as it is.
pub(crate) fn word(word: &OsStr) -> Vec<u8> {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./,:@+".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return bytes.to_vec();
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    quoted.push(b'\'');
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' | b'!' => quoted.extend([b'\'', b'\\', byte, b'\'']),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Words of one command.
pub(crate) fn line<'w>(words: impl IntoIterator<Item = &'w OsStr>) -> Vec<u8> {
    words.into_iter().map(word).collect::<Vec<_>>().join(&b' ')
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt, process::Command};

    use proptest::prelude::*;

    use super::*;

    /// What a shell makes of words: each with a NUL after it.
    fn read_back(words: &[OsString]) -> Vec<u8> {
        let mut text = b"printf '%s\\0' ".to_vec();
        text.extend(line(words.iter().map(OsString::as_os_str)));
        let output = Command::new("sh").arg("-c").arg(OsString::from_vec(text)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_shell_reads_every_word_back_as_it_is(
            words in prop::collection::vec(prop::collection::vec(1..=255_u8, 0..40), 1..6)
        ) {
            let expected: Vec<u8> = words.iter().flat_map(|w| w.iter().copied().chain([0])).collect();
            let words: Vec<_> = words.into_iter().map(OsString::from_vec).collect();
            prop_assert_eq!(read_back(&words), expected);
        }
    }

    #[test]
    fn plain_words_stay_as_they_are_and_others_are_quoted() {
        let quoted = |text: &str| String::from_utf8(word(OsStr::new(text))).unwrap();
        assert_eq!(quoted("/nix/store/a-1.2"), "/nix/store/a-1.2");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~"), "'~'");
        assert_eq!(quoted("a=b"), "'a=b'");
        assert_eq!(quoted(r"it's\!"), r"'it'\''s'\\''\!''");
    }
}
