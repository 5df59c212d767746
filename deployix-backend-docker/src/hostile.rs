//! Strings that break careless printers, for the property tests.

use std::ops::Range;

use proptest::prelude::*;

/// Fragments that mean something to a shell, YAML, Compose or a Dockerfile.
const FRAGMENTS: &[&str] = &[
    "\"",
    "'",
    "''",
    "\\",
    "\\\\",
    "\\n",
    "\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "  ",
    "$",
    "$$",
    "${",
    "${HOME}",
    "${HOME:-x}",
    "$HOME",
    "$(id)",
    "`id`",
    "#",
    " #",
    "# ",
    ": ",
    "- ",
    "? ",
    "|",
    ">",
    "&a",
    "*a",
    "!x",
    "%",
    "@",
    "{",
    "}",
    "[",
    "]",
    ",",
    "=",
    "<<EOF",
    "<<",
    "---",
    "...",
    "~",
    "null",
    "true",
    "yes",
    "off",
    "010",
    "0x1f",
    "1e3",
    "1_000",
    "12:30:45",
    ".inf",
    "2020-01-01",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{200b}",
    "\u{1b}[31m",
    "é",
    "日本",
    "😀",
    "\u{10ffff}",
    "a",
    "key",
    "EOF",
];

/// One hostile string, never with a NUL.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..12)
            .prop_map(|fragments| fragments.concat()),
        3 => proptest::collection::vec(any::<char>(), 0..40)
            .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
        2 => "[a-z0-9/._-]{0,20}",
        1 => "([ -~]{0,8}\n){1,4}",
    ]
}

/// A batch of hostile strings: real parsers are slow to start, so they read many at once.
pub(crate) fn texts(count: Range<usize>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(text(), count)
}

/// Strings of `length` bytes that leave a printer no ordinary place to break a line at.
pub(crate) fn long(length: usize) -> Vec<String> {
    ["x", "\\", "\"", "#", " ", "\t", "$", "'", "\\\\ #", "é😀", "a b\\"]
        .into_iter()
        .map(|fragment| fragment.repeat(length.div_ceil(fragment.len())))
        .collect()
}
