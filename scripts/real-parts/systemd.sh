#!/usr/bin/env bash
# systemd's own checks of units and calendars, for tests named real_systemd*: `systemd-analyze` on the PATH. It need not
# be what this machine was started with.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
    have systemd-analyze || apt_install systemd
    systemd-analyze calendar minutely >/dev/null
}

main "$@"
