"""Builds a system from its description: its files of /etc, what activates it, what switches to it."""
import json, pathlib, shutil, sys

description, activate, switch, out = map(pathlib.Path, sys.argv[1:])
system = json.loads(description.read_text())


def link(path, to):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)


def program(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    path.chmod(0o555)


for path, source in system["etc"].items():
    link(out / "etc" / path, source)
for name, unit in system["units"].items():
    link(out / "etc/systemd/system" / name, unit["file"])
    for target in unit["wantedBy"]:
        link(out / f"etc/systemd/system/{target}.wants" / name, f"../{name}")
(out / "users.json").write_text(json.dumps({key: system[key] for key in ("users", "groups")}))
(out / "init-interface-version").write_text("systemd 2")
link(out / "sw", "/usr")
program(out / "activate", activate)
program(out / "bin/switch-to-configuration", switch)
