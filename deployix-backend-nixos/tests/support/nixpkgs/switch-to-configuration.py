#!/usr/bin/python3
"""Switches to the system that it lies in, as that of NixOS does (nixpkgs, pkgs/by-name/sw/switch-to-configuration-ng):
the same units are stopped, reloaded, restarted and started, in the same order and with the same exit status. Left out is
what the generated systems have none of: file systems, templates, users' own units."""
import fcntl, os, pathlib, subprocess, sys

system = pathlib.Path(__file__).resolve().parent.parent
OLD, NEW = pathlib.Path("/etc/systemd/system"), system / "etc/systemd/system"
IGNORED = {
    "X-Reload-Triggers", "Description", "Documentation", "OnFailure", "OnSuccess", "OnFailureJobMode",
    "IgnoreOnIsolate", "StopWhenUnneeded", "RefuseManualStart", "RefuseManualStop", "AllowIsolate", "CollectMode",
    "SourcePath",
}


def systemctl(*words):
    return subprocess.run(["systemctl", *words])


def active():
    """The units that are not inactive, with their state and sub-state."""
    lines = subprocess.run(
        ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    units = {words[0]: (words[2], words[3]) for words in map(str.split, lines)}
    return {name: state for name, state in units.items() if state[0] != "inactive"}


def parse(path):
    sections, section = {}, {}
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith(("#", ";")):
            key, value = line.split("=", 1)
            values = section.setdefault(key, [])
            values.append(value) if value else values.clear()
    sections.pop("Install", None)
    return sections


def flag(unit, section, key, default):
    values = unit.get(section, {}).get(key)
    return values[-1] in ("1", "yes", "true", "on") if values else default


def compare(old, new):
    def known(unit):
        unit = {name: dict(section) for name, section in unit.items()}
        unit["Unit"] = {key: value for key, value in unit.get("Unit", {}).items() if key not in IGNORED}
        return {name: section for name, section in unit.items() if section}

    if known(old) != known(new):
        return "restart"
    triggers = [unit.get("Unit", {}).get("X-Reload-Triggers") for unit in (old, new)]
    return "reload" if triggers[0] != triggers[1] and triggers[1] else "equal"


def plan(running):
    stop, skip, start, restart, reload = set(), set(), set(), set(), set()
    for unit, (state, _) in running.items():
        old, new = OLD / unit, NEW / unit
        if not old.exists() or state not in ("active", "activating"):
            continue
        if not new.exists() or new.resolve() == pathlib.Path("/dev/null"):
            # What the system never had, such as links of the distribution, is not what it lost.
            if old.is_symlink() and os.readlink(old).startswith("/etc/static/"):
                if flag(parse(old), "Unit", "X-StopOnRemoval", True):
                    stop.add(unit)
            continue
        wanted = parse(new)
        if unit.endswith(".target"):
            if not flag(wanted, "Unit", "RefuseManualStart", False) and not flag(wanted, "Unit", "X-OnlyManualStart", False):
                start.add(unit)
            if flag(wanted, "Unit", "X-StopOnReconfiguration", False):
                stop.add(unit)
            continue
        difference = compare(parse(old), wanted)
        if difference == "reload" or difference == "restart" and flag(wanted, "Service", "X-ReloadIfChanged", False):
            reload.add(unit)
        elif difference == "equal" or unit.endswith((".socket", ".slice")):
            pass
        elif (
            not flag(wanted, "Service", "X-RestartIfChanged", True)
            or flag(wanted, "Unit", "RefuseManualStop", False)
            or flag(wanted, "Unit", "X-OnlyManualStart", False)
        ):
            skip.add(unit)
        elif not flag(wanted, "Service", "X-StopIfChanged", True) or not unit.endswith(".service"):
            restart.add(unit)
        else:
            stop.add(unit)
            sockets = " ".join(wanted["Service"].get("Sockets", [])).split() or [unit.removesuffix(".service") + ".socket"]
            sockets = [socket for socket in sockets if socket in running]
            stop.update(sockets)
            sockets = [socket for socket in sockets if (NEW / socket).exists()]
            start.update(sockets)
            if not sockets or flag(wanted, "Service", "X-NotSocketActivated", False):
                start.add(unit)
    # The machine's own targets are not part of the system here, and pull in what is new.
    start.update(("sockets.target", "timers.target", "multi-user.target"))
    return stop, skip, start, restart, reload


def tell(what, units):
    if units:
        print(f"{what}: {', '.join(sorted(units))}", file=sys.stderr, flush=True)


def main(action):
    if not pathlib.Path("/etc/NIXOS").is_file():
        sys.exit("This is not a NixOS installation!")
    os.makedirs("/run/nixos", exist_ok=True)
    lock = open("/run/nixos/switch-to-configuration.lock", "a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("Could not acquire lock")
    if action in ("switch", "boot"):
        # The boot loader's default.
        pathlib.Path("/boot").mkdir(exist_ok=True)
        pathlib.Path("/boot/default-system").write_text(f"{system}\n")
    if action == "boot":
        return 0

    before = active()
    stop, skip, start, restart, reload = plan(before)
    shown = {unit for unit in start if not unit.endswith(".target")}
    would = "would " if action == "dry-activate" else ""
    tell(f"{would}stop{'' if would else 'ping'} the following units", stop)
    tell("NOT restarting the following changed units" if not would else "would NOT restart the following changed units", skip)
    if would:
        tell("would reload the following units", reload)
        tell("would restart the following units", restart)
        tell("would start the following units", shown)
        return 0

    if stop:
        systemctl("stop", *stop)
    status = 0
    print("activating the configuration...", file=sys.stderr, flush=True)
    if subprocess.run([system / "activate"]).returncode != 0:
        status = 2
    if systemctl("daemon-reload").returncode != 0:
        status = 3
    for units, verb, what in (
        (reload, "reload", "reloading the following units"),
        (restart, "restart", "restarting the following units"),
        (start, "start", "starting the following units"),
    ):
        tell(what, shown if verb == "start" else units)
        for unit in units:
            # Whether they failed is looked at below.
            systemctl("--no-block", verb, unit)
    while subprocess.run(["systemctl", "list-jobs", "--no-legend"], stdout=subprocess.PIPE).stdout.strip():
        subprocess.run(["sleep", "0.1"])

    after = active()
    new = {unit for unit, (state, _) in after.items() if state == "active" and unit not in before and unit not in stop}
    tell("the following new units were started", new - start)
    failed = {
        unit for unit, state in after.items()
        if state[0] == "failed" or state == ("activating", "auto-restart")
    }
    failed = {unit for unit in failed if before.get(unit, ("", ""))[0] != "failed" or unit in start | restart}
    if failed:
        tell("warning: the following units failed", failed)
        for unit in sorted(failed):
            subprocess.run(["systemctl", "status", "--no-pager", "--full", unit], stdout=sys.stderr)
        status = 4
    return status


if sys.argv[1:2] not in [["switch"], ["boot"], ["test"], ["dry-activate"]]:
    sys.exit(f"Usage: {sys.argv[0]} [switch|boot|test|dry-activate]")
sys.exit(main(sys.argv[1]))
