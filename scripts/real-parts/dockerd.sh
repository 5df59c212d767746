#!/usr/bin/env bash
# What tests named real_dockerd* need to start an engine of their own, which they may kill: dockerd and containerd to run
# as root, and a network namespace for them. The programs and the image are those of the part `docker`.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
    # The tests start it themselves and have nobody to ask for more.
    [[ $EUID -eq 0 ]] || unavailable "an engine of the tests' own, which needs root"
    # It may be asked before or after this one; what it cannot have is then its own output.
    "$(dirname "${BASH_SOURCE[0]}")/docker.sh" up
    PATH=$PATH:/usr/sbin:/sbin
    local program
    for program in dockerd containerd; do
        have "$program" || unavailable "an engine of the tests' own: there is no $program"
    done
    have ip || apt_install iproute2
    unshare --net true 2>/dev/null || unavailable "an engine of the tests' own: no network namespace can be made here"
    printf 'PATH=%s\n' "$PATH"
}

main "$@"
