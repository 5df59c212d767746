#!/usr/bin/env bash
# A server that plays AWS, for tests named real_moto*: moto's, at $DEPLOYIX_MOTO, empty but for what tests put there.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

here=$(dirname "${BASH_SOURCE[0]}")
requirements=$here/moto-requirements.txt
venv=$parts_dir/moto
started=${DEPLOYIX_STARTED:-$parts_dir}/moto-started
log=$parts_dir/moto.log

up() {
    if ! cmp -s "$requirements" "$venv/installed.txt"; then
        if ! have python3 || ! python3 -c 'import ensurepip' 2>/dev/null; then apt_install python3 python3-venv; fi
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" --quiet --disable-pip-version-check install --requirement "$requirements" >&2
        # Written last: an interrupted installation is made anew.
        cp "$requirements" "$venv/installed.txt"
    fi
    runs || start
    printf 'DEPLOYIX_MOTO=http://127.0.0.1:%s\n' "$(port)"
}

# The file $started names the process id that `up` started; beside it is the port.
down() {
    [[ -e $started ]] || return 0
    ! runs || kill "$(<"$started")"
    rm -f "$started" "$started.port"
}

# Whether the process that `up` started is still there and no other of its number.
runs() {
    [[ -e $started ]] && tr '\0' ' ' <"/proc/$(<"$started")/cmdline" 2>/dev/null | grep -q moto-server.py && [[ -n $(port) ]]
}

port() { cat "$started.port" 2>/dev/null; }

start() {
    : >"$started.port"
    # 3 and 9 are other scripts' files, which must not stay open as long as the server.
    setsid "$venv/bin/python" "$here/moto-server.py" >"$started.port" 2>"$log" </dev/null 3>&- 9>&- &
    echo $! >"$started"
    for _ in {1..120}; do
        [[ -z $(port) ]] || return 0
        sleep 0.25
    done
    tail -n 5 "$log" >&2
    unavailable "moto's server does not start"
}

main "$@"
