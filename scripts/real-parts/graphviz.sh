#!/usr/bin/env bash
# Graphviz, for tests named real_graphviz*: `dot` on the PATH, which reads generated graphs.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
    have dot || apt_install graphviz
    dot -V 2>&1 >/dev/null | grep -q version
}

main "$@"
