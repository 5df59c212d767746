//! Steps carried out on moto, the public mock of AWS, over the wire and through AWS's own SDK.
//!
//! Each test has an account of its own, behind a proxy that counts calls and lets them go wrong.
#![cfg(feature = "live")]
#![expect(clippy::unwrap_used, reason = "a test fails where its own steps do")]

mod aws;
#[path = "../../../deployix-core/tests/shared/deadly.rs"]
mod deadly;
mod faults;
mod killed;
mod moto;
mod proxy;
mod refusals;
#[path = "../engine/scenario.rs"]
mod scenario;
#[path = "../support/sdk.rs"]
mod sdk;
#[path = "../support/moto.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod server;
#[path = "../engine/site.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod site;
mod suite;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;
#[path = "../engine/upcast.rs"]
mod upcast;
mod wire;

/// Who plays AWS here.
type Standard = moto::Moto;
