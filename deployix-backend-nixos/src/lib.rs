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
//! | `env`, `files` | variables; links into the store, or files of the service's own, in its directory below `/run`, where they hold secrets or are not for everybody |
//! | secrets | systemd credentials from `/var/lib/deployix/secrets/<deployment>/<functionality>`, filled in when the service starts; trailing newlines are dropped |
//! | `state` | directories that the user owns and the service may write to; everything else is read-only |
//! | `user` | a user whose id follows from its name; the functionality's own where there is none |
//! | `readiness` | `Type=notify`, or a probe that the start waits for until the program has ended |
//! | `on-demand` | sockets handed over as in `sd_listen_fds(3)`, named after their endpoints; all of a machine listen before any service starts |
//! | `schedule` | a timer that catches up once on what was missed |
//! | `limits`, `stop` | `CPUQuota`, `MemoryMax`; `KillSignal`, `TimeoutStopSec` |
//! | a group | a service for each member, tied together by a target |
//! | consumers | firewall openings for each one's addresses; through IPsec alone where networks differ |
//! | upstreams | host names that resolve to where they run; on one machine also the order of starting |
//!
//! Each service has a directory of its own, `/run/deployix/<unit>`, which its initializer shares and
//! only its user may enter; programs find it in `$RUNTIME_DIRECTORY`. It is empty after a boot and
//! stays while the service is stopped.
//!
//! # Files
//!
//! NixOS manages links in `/etc`. A file anywhere else is a link to one there, as in
//! `/etc/deployix/files/opt/x` for `/opt/x`, whose place never changes (`tmpfiles.d(5)`, `L`). Nothing
//! that stands at its path is replaced or removed: where that is no link, the service and its
//! initializer refuse to start (`AssertPathIsSymbolicLink`, `systemd.unit(5)`), and `systemctl status`
//! names the path. A file that is described no more leaves its link outside of `/etc` behind, except
//! in a profile.
//!
//! # Starting
//!
//! `deployix-on-demand.target` is reached once every socket of an on-demand service listens, and all
//! services start after it. Whoever connects to one waits in the socket's queue until the program
//! is there, so on-demand services need no order of starting, whoever needs whom.
//!
//! # Switching
//!
//! A switch of NixOS to another configuration touches the units that are different then, and no
//! other:
//!
//! | what changed | is |
//! |---|---|
//! | a service, or a file in the store that it reads | restarted in place; its sockets listen on |
//! | an initializer | run again, and its service restarted after it |
//! | what runs on a schedule | left to end by itself; the next run is the new one |
//! | what a socket listens on | another socket; the old one closes |
//!
//! # Style
//!
//! [`Style`] says how units are written down: below `systemd`, or as modular services of NixOS 25.11
//! and newer. What runs is the same.
//!
//! # Sandbox
//!
//! Services run in a sandbox that `systemd-analyze security` rates at most 3.0 ("OK").
//! [`NixosFunctionality::service_config`] loosens it, setting by setting.
//!
//! # Tests
//!
//! `tests/<target>.nix` is a test for `pkgs.testers.runNixOSTest` of nixpkgs and a check of the flake
//! (`nix build .#checks.x86_64-linux.<target>`): it boots the target's machines as virtual machines,
//! without [`NixosTarget::modules`] and with `placeholder` for each secret, and waits until every
//! functionality is ready. Machines of other targets are not there.
//!
//! # One functionality alone
//!
//! With `deploy = "profile"` ([`NixosDeploy`]) a functionality is not a part of its machine's system
//! but a package of the target's flake, `packages.<system>.<functionality>`, that a machine runs next
//! to its system, whoever made that:
//!
//! | of the module | in a profile |
//! |---|---|
//! | units | linked from `/etc/systemd/system.attached`, which systemd reads after `/etc/systemd/system` (`systemd.unit(5)`) and no NixOS configuration manages; a name that somebody else has is refused |
//! | users, directories, links | `sysusers.d(5)` and `tmpfiles.d(5)`, applied before each start and after each switch of the system |
//! | files, `environment.etc` | links; a path where something of somebody else's stands is refused |
//! | names of upstreams | the units' own `/etc/hosts`: these names, then the machine's |
//! | firewall openings | a chain of its own in NixOS's table `inet nixos-fw`, opened again whenever that is loaded anew; on a machine without that table nothing, said in the journal |
//!
//! Links lead through `/nix/var/nix/profiles/deployix/<deployment>/<functionality>`, whose
//! generations are those of `nix-env(1)`, so a machine that boots runs the current one.
//! [`HOST_SCRIPT`] goes to another generation: it stops what is gone, restarts only units whose text
//! changed, waits until they are ready, and puts the generation before back where they are not.
//! IPsec is set up by a machine's system: a target that has none refuses it. The machine needs an
//! `/etc` that can be written to.

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
mod profile;
mod shell;
pub mod syntax;
mod unit;
mod vm_test;

pub use backend::NixosBackend;
pub use extension::{Build, NixosDeploy, NixosFunctionality, NixosTarget, Style};
pub use profile::HOST_SCRIPT;
