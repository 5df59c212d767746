"""What Hydra's programs share: the queue of commits in the database, git, and patience.

The database is named by libpq's own environment variables (PGHOST, PGDATABASE, PGUSER, PGPASSWORD). SIGTERM ends a
program at once: what it had begun is rolled back by the database and found in the queue again.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

# Nix keeps every package in a folder of its own: the PATH names its programs, its Python library lies beside them.
for _folder in os.get_exec_path():
    if _folder.startswith("/nix/store/"):
        _version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        sys.path.append(str(pathlib.Path(_folder).parent / "lib" / _version / "site-packages"))

import psycopg2  # noqa: E402  (found on the path made above)

DatabaseError = psycopg2.Error

SCHEMA = """
CREATE TABLE IF NOT EXISTS commits (
    position bigint GENERATED ALWAYS AS IDENTITY,
    hash text PRIMARY KEY CHECK (hash ~ '^[0-9a-f]{40,64}$'),
    author text NOT NULL,
    subject text NOT NULL,
    committed timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'failed')),
    result text NOT NULL DEFAULT '',
    finished timestamptz
)
"""

# Any number will do that nothing else in this database locks.
SCHEMA_LOCK = 0x68796472

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class GitError(Exception):
    """What git said when it failed."""


def log(message):
    """Writes one line to the log, which is standard error."""
    print(f"{pathlib.Path(sys.argv[0]).name}: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def stop_on_sigterm():
    """Makes SIGTERM end the program in good order, wherever it is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


@contextlib.contextmanager
def transaction():
    """Gives a cursor whose work is committed at the end, or rolled back if that is an exception."""
    connection = psycopg2.connect(connect_timeout=5)
    try:
        with connection, connection.cursor() as cursor:
            make_schema(cursor)
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def make_schema(cursor):
    """Makes the table where it is missing. CREATE .. IF NOT EXISTS alone fails when two do it at the same moment."""
    cursor.execute("SELECT to_regclass('commits') IS NULL")
    if cursor.fetchone()[0]:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SCHEMA_LOCK])
        cursor.execute(SCHEMA)


def git(mirror, *arguments):
    """Runs git in a bare repository and gives the bytes that it writes."""
    # No credentials are asked for: nobody is there to type them.
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
    command = ["git", "--git-dir", mirror, *arguments]
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired as late:
        raise GitError(f"git {arguments[0]}: no answer within {late.timeout:.0f} s") from late
    if done.returncode != 0:
        raise GitError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def fetch(repository, mirror):
    """Brings the mirror up to date, making it first where it is missing. May be interrupted and repeated."""
    git(mirror, "init", "--quiet", "--bare")
    git(mirror, "fetch", "--quiet", "--prune", repository, "+refs/heads/*:refs/heads/*")


def repeat(step, every):
    """Calls `step` again and again, `every` so many seconds.

    A database or a repository that is not there yet, or not there for a while, is told and tried again, at first soon and
    then ever more patiently; no two programs in step.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            step()
        except (DatabaseError, GitError) as error:
            log(error)
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            pause = FIRST_PAUSE
            time.sleep(every)
