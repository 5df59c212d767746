//! Compiles Deployix specs to NixOS modules and host configurations.
//!
//! [`NixosBackend`] makes each functionality a module ([`syntax`] is the tree that it is printed
//! from) and each target a flake that imports them. What a service's fields become:
//!
//! | field | on NixOS |
//! |---|---|
//! | `software.nix` | attribute paths of `pkgs`; their programs, after those of `software.path` and before a minimal Debian's, are the `PATH` |
//! | `start` | `ExecStart`, every word exactly as given; a bare name is looked up on the `PATH` |
//! | `initializer` | a service of its own that has to end well before the start, tried until it does |
//! | `env`, `files` | variables; links into the store, or files of the service's own where they hold secrets or are not for everybody |
//! | secrets | systemd credentials from `/var/lib/deployix/secrets/<deployment>/<functionality>`, filled in when the service starts; trailing newlines are dropped |
//! | `state` | directories that the user owns and the service may write to; everything else is read-only |
//! | `user` | a user whose id follows from its name; the functionality's own where there is none |
//! | `readiness` | `Type=notify`, or a probe that the start waits for |
//! | `on-demand`, `schedule` | sockets handed over as in `sd_listen_fds(3)`; timers that catch up |
//! | `limits`, `stop` | `CPUQuota`, `MemoryMax`; `KillSignal`, `TimeoutStopSec` |
//! | a group | a service for each member, tied together by a target |
//! | consumers | firewall openings for each one's addresses; through IPsec alone where networks differ |
//! | upstreams | host names that resolve to where they run; on one machine also the order of starting |
//!
//! Services run in a sandbox that [`NixosFunctionality`] loosens.

mod assemble;
mod backend;
mod compile;
mod extension;
mod guest;
mod identity;
mod ipsec;
#[cfg(feature = "live")]
mod live;
mod machine;
mod nftables;
mod shell;
pub mod syntax;
mod unit;
mod vm_test;

pub use backend::NixosBackend;
pub use extension::{Build, NixosFunctionality, NixosTarget, Style};
