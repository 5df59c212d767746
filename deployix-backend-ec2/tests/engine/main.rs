//! Steps carried out on a strict EC2 in memory, by the core's own executor.
#![cfg(feature = "engine")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

mod balancing;
mod by_hand;
#[path = "../../../deployix-core/tests/shared/deadly.rs"]
mod deadly;
mod deploy;
mod disk;
mod drift;
mod faults;
mod held;
mod journal;
mod keepers;
mod names;
mod network;
mod only;
mod permissions;
mod refusals;
mod scenario;
mod secrets;
mod site;
mod stage;
mod strict;
mod subnet;
mod successor;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;
mod turns;
mod upcast;
mod waits;
mod way;
mod wide;

/// Who plays AWS here.
type Standard = strict::Strict;
