//! The `deployix` command.

fn main() {}
