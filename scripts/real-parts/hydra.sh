#!/usr/bin/env bash
# What the programs of examples/hydra need to run on this machine itself, for tests named real_hydra*: PostgreSQL's
# programs, git with `git daemon`, Debian's Python with psycopg2. The tests start them on ports of their own.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

python=/usr/bin/python3

postgresql() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

# Some distributions package it apart from git.
git_daemon() { have git && [[ -x $(git --exec-path)/git-daemon ]]; }

up() {
    if ! postgresql; then
        # Only the programs are wanted, no server on the machine's port 5432.
        apt_install postgresql-common
        as_root sed -i -E 's/^#?create_main_cluster.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
        apt_install postgresql
    fi
    git_daemon || apt_install git
    "$python" -c 'import psycopg2' 2>/dev/null || apt_install python3 python3-psycopg2
    postgresql || unavailable "Debian's PostgreSQL"
    "$python" -c 'import psycopg2'
}

main "$@"
