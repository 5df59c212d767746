//! Whole systems on a host: from specs, over the generated flake, built by the real Nix, to what a
//! switch makes of a running machine.

#[path = "support/container.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod container;
#[path = "support/host.rs"]
#[expect(dead_code, reason = "each test binary uses its part")]
mod host;
#[expect(dead_code, reason = "each test binary uses its part")]
mod support;

use deployix_core::spec::ServiceSpec;
use host::{Host, flake, witness};
use support::{deployment, functionality, machine};

#[test]
fn a_system_is_built_and_switched_to_and_only_what_changed_is_restarted() {
    let host = Host::start("system");
    let rack = |version| {
        let other = ServiceSpec::builder(["sleep", "infinity"]).file("/etc/other.conf", "x\n");
        let web = functionality("web", witness("web", 3000, version));
        let other = functionality("other", other);
        flake(deployment([web, other], [machine("rack1", "10.0.0.1")]))
    };
    host.put(&rack("1"), "/srv/flake");
    let first = host.build_system("/srv/flake", "rack1");
    host.shell(&format!(
        "nix-env --profile /nix/var/nix/profiles/system --set {first} && \
         {first}/bin/switch-to-configuration switch"
    ));
    assert_eq!(host.shell("curl --silent http://127.0.0.1:3000/"), "ok");
    assert_eq!(host.shell("readlink /run/current-system").trim(), first);
    host.shell("grep -x x /etc/other.conf && nft list chain inet nixos-fw input-allow");
    // SSH still lets one in, through the packet filter of the system.
    let greeting = host.ssh("nix --version");
    assert!(greeting.status.success(), "{}", String::from_utf8_lossy(&greeting.stderr));

    let (web, other) = (host.running("web.service"), host.running("other.service"));
    host.put(&rack("2"), "/srv/flake");
    let second = host.build_system("/srv/flake", "rack1");
    let told = host.shell(&format!("{second}/bin/switch-to-configuration switch 2>&1"));
    assert!(told.contains("restarting the following units: web.service\n"), "{told}");
    assert_ne!(host.running("web.service"), web);
    assert_eq!(host.running("other.service"), other);
    host.shell(&format!("{first}/bin/switch-to-configuration test"));
    assert_eq!(host.shell("readlink /run/current-system").trim(), first);
}

#[test]
fn a_switch_tells_of_units_that_fail_and_of_units_that_are_gone() {
    let host = Host::start("failing");
    let rack = |functionalities| flake(deployment(functionalities, [machine("rack1", "10.0.0.1")]));
    let sleeper = || ServiceSpec::builder(["sleep", "infinity"]).state("/var/lib/kept");
    let broken = ServiceSpec::builder(["false"]);
    host.put(&rack(vec![functionality("good", sleeper())]), "/srv/good");
    host.put(&rack(vec![functionality("broken", broken)]), "/srv/broken");
    let good = host.build_system("/srv/good", "rack1");
    let broken = host.build_system("/srv/broken", "rack1");
    host.shell(&format!("{good}/bin/switch-to-configuration switch"));

    let output = host.run(&format!("{broken}/bin/switch-to-configuration switch"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("warning: the following units failed: broken.service\n"), "{told}");
    host.shell("! systemctl is-active --quiet good.service && test -d /var/lib/kept");
    host.shell("! id good && ! test -e /etc/systemd/system/good.service");
    let output = host.run(&format!("{good}/bin/switch-to-configuration switch"));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    host.shell("systemctl is-active good.service");
}
