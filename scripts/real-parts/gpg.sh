#!/usr/bin/env bash
# GnuPG, for tests named real_gpg*: `gpg` with its agent, which keeps keys.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
    have gpg-agent || apt_install gnupg
    gpg --version | grep -q '^gpg (GnuPG) 2'
}

main "$@"
