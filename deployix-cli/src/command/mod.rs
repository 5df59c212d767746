//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod plan;

/// `1 file`, `2 files`.
fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
