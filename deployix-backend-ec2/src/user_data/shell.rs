//! Words of the POSIX shell.

/// Quotes a text, so that the shell takes it for one word that is exactly that text.
///
/// Within single quotes nothing has a meaning but the single quote (POSIX, Shell Command Language,
/// section 2.2.2). A text must not hold the null character, which no argument can.
///
/// ```
/// use deployix_backend_ec2::user_data::shell;
///
/// assert_eq!(shell::word("/etc/hosts"), "/etc/hosts");
/// assert_eq!(shell::word("it's $HOME"), r"'it'\''s $HOME'");
/// ```
#[must_use]
pub fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command line of such words.
#[must_use]
pub fn command<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|text| word(text.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    /// What the real shell makes of a command line of quoted words.
    fn read_back(words: &[String]) -> Vec<String> {
        let script = format!("printf '%s\\0' {}", command(words));
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    #[test]
    fn a_long_and_hostile_word_survives_the_shell() {
        let long = "'\"$(`\\\n é".repeat(9_000);
        assert!(read_back(std::slice::from_ref(&long)) == [long]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn words_survive_the_shell(
            words in prop::collection::vec("[^\0]*|[ '\"$`\\\\\n{}()*?~#!;&|<>-]{1,8}", 1..5)
        ) {
            prop_assert_eq!(read_back(&words), words);
        }
    }
}
