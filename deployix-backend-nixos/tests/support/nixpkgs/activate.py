#!/usr/bin/python3
"""Makes a system's users, its links in /etc and its directories (nixpkgs, nixos/modules/system/activation,
nixos/modules/config/update-users-groups.pl, nixos/modules/system/etc/setup-etc.pl)."""
import json, os, pathlib, subprocess, sys

system = pathlib.Path(__file__).resolve().parent
ETC, STATIC = pathlib.Path("/etc"), pathlib.Path("/etc/static")
DECLARED = pathlib.Path("/var/lib/nixos/declarative-users")


def run(*words):
    subprocess.run(words, check=True)


def names(path):
    return {line.split(":")[0] for line in pathlib.Path(path).read_text().splitlines()}


def users():
    wanted = json.loads((system / "users.json").read_text())
    groups, present = names("/etc/group"), names("/etc/passwd")
    for name, group in wanted["groups"].items():
        if name not in groups:
            run("groupadd", "-g", str(group["gid"]), name)
    for name, user in wanted["users"].items():
        if name not in present:
            run("useradd", "-u", str(user["uid"]), "-g", user["group"], "-d", "/var/empty", "-M", name)
    # Users that a system before this one declared are removed; those of others stay.
    before = set(DECLARED.read_text().split()) if DECLARED.exists() else set()
    for name in (before - set(wanted["users"])) & names("/etc/passwd"):
        run("userdel", name)
    DECLARED.parent.mkdir(parents=True, exist_ok=True)
    DECLARED.write_text(" ".join(wanted["users"]))


def is_ours(path):
    return path.is_symlink() and os.readlink(path).startswith(f"{STATIC}/")


def etc():
    replace(STATIC, system / "etc")
    if os.path.ismount("/etc/hosts"):
        run("umount", "/etc/hosts")
    wanted = {pathlib.Path(folder, name) for folder, _, files in os.walk(system / "etc") for name in files}
    wanted = {path.relative_to(system / "etc") for path in wanted}
    for folder, folders, files in os.walk(ETC):
        for path in (pathlib.Path(folder, name) for name in files + folders):
            if is_ours(path) and path.relative_to(ETC) not in wanted:
                path.unlink()
    for path in wanted:
        (ETC / path).parent.mkdir(parents=True, exist_ok=True)
        replace(ETC / path, STATIC / path)


def replace(path, to):
    new = path.with_name(path.name + ".tmp")
    new.unlink(missing_ok=True)
    new.symlink_to(to)
    new.replace(path)


users()
etc()
run("systemd-tmpfiles", "--create", "--remove", "00-nixos.conf")
replace(pathlib.Path("/run/current-system"), system)
