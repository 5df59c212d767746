//! The commands, one file each.

mod carry_out;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod forget;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod plan;
pub(crate) mod status;

/// `1 file`, `2 files`.
pub(crate) fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}
