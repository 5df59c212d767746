#!/usr/bin/env bash
# HAProxy, for tests named real_haproxy*: `haproxy` on the PATH, which checks generated configurations. Not started.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Debian keeps it where only root's PATH looks.
PATH=$PATH:/usr/sbin

up() {
    if ! have haproxy; then
        apt_install haproxy
        # The package starts a balancer of its own where there is an init; nobody asked for that one.
        if [[ -d /run/systemd/system ]]; then as_root systemctl disable --now --quiet haproxy; fi
    fi
    haproxy -v >/dev/null
    printf 'PATH=%s\n' "$PATH"
}

main "$@"
