#!/usr/bin/env bash
# A Python of the tests' own, for tests named real_python*: $DEPLOYIX_PYTHON has what python-requirements.txt lists.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requirements=$(dirname "${BASH_SOURCE[0]}")/python-requirements.txt
venv=$parts_dir/python

up() {
    if ! cmp -s "$requirements" "$venv/installed.txt"; then
        if ! have python3 || ! python3 -c 'import ensurepip' 2>/dev/null; then apt_install python3 python3-venv; fi
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/pip" --quiet --disable-pip-version-check install --requirement "$requirements" >&2
        # Written last: an interrupted installation is made anew.
        cp "$requirements" "$venv/installed.txt"
    fi
    printf 'DEPLOYIX_PYTHON=%s\n' "$venv/bin/python"
}

main "$@"
