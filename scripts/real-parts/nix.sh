#!/usr/bin/env bash
# The Nix evaluator, for tests named real_nix*: `nix-instantiate` on the PATH. No daemon, no store of packages.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

up() {
    have nix-instantiate || apt_install nix-bin
    # Root is warned about build users, whom evaluating does not need.
    nix-instantiate --eval --expr '1 + 1' >/dev/null 2>&1
}

main "$@"
