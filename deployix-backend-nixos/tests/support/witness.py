#!/usr/bin/env python3
"""Writes down how it was started, then answers HTTP on the port it is given or the socket it was handed."""
import json, os, pathlib, socket, sys, time

folder = pathlib.Path(os.environ["WITNESS_FOLDER"])
event = "initialized" if sys.argv[1:2] == ["--initialize"] else "started"


def attempt(path):
    try:
        pathlib.Path(path).write_text("x")
        return "written"
    except OSError as error:
        return error.strerror


report = {
    "argv": [os.fsencode(argument).hex() for argument in sys.argv[1:]],
    "env": {os.fsencode(name).decode(): os.fsencode(value).hex() for name, value in os.environ.items()},
    "uid": os.getuid(),
    "gid": os.getgid(),
    "files": {path: pathlib.Path(path).read_bytes().hex() for path in os.environ.get("WITNESS_FILES", "").split(":") if path},
    "writes": {path: attempt(path) for path in ("/etc/x", "/var/lib/x", str(folder / "x"))},
    "before": sorted(entry.name for entry in folder.iterdir()),
}
(folder / f"{event}.json").write_text(json.dumps(report))
with (folder / "events").open("a") as events:
    events.write(f"{event}\n")
time.sleep(float(os.environ.get("WITNESS_TAKES", "0")))
with (folder / "events").open("a") as events:
    events.write(f"{event}, done\n")
if event == "initialized" or os.environ.get("WITNESS_PORT") is None:
    sys.exit()

if os.environ.get("LISTEN_FDS") == "1":
    server = socket.socket(fileno=3)
else:
    time.sleep(1)
    server = socket.create_server(("", int(os.environ["WITNESS_PORT"])))
(folder / "listening").write_text("")
if os.environ.get("NOTIFY_SOCKET"):
    time.sleep(1)
    (folder / "ready").write_text("")
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
while True:
    connection, _ = server.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    connection.close()
