# What every part's script shares. Sourced, not run.
#
# A part's script takes one word. `up` makes the part available: it installs what is missing, starts what must run and
# prints the environment its tests need, one NAME=value per line; run again it changes nothing. `down` stops what `up`
# started and nothing else. Progress goes to standard error. Exit status: 0 available, 3 it cannot be had on this machine
# (the reason is then what it prints), anything else a failure.
# shellcheck shell=bash

set -euo pipefail

# Where the parts keep what they make: outside the clone, so that a fresh clone finds it again.
parts_dir=${DEPLOYIX_PARTS:-${XDG_CACHE_HOME:-$HOME/.cache}/deployix/parts}
mkdir -p "$parts_dir"

say() { printf '%s\n' "$*" >&2; }

# Ends the script: this part cannot be had here. The reason goes to the script's own output, from subshells too.
exec 3>&1
unavailable() {
    printf '%s\n' "$*" >&3
    exit 3
}

have() { command -v "$1" >/dev/null 2>&1; }

on_debian() { [[ -e /etc/debian_version ]] && have apt-get; }

# Whether commands can be run as root without a question being asked.
can_be_root() { [[ $EUID -eq 0 ]] || { have sudo && sudo -n true 2>/dev/null; }; }

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n -- "$@"; fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

# Installs Debian packages, refreshing the package lists only where they do not know one of them.
apt_install() {
    on_debian || unavailable "$* must be installed by hand; this script knows Debian and Ubuntu only"
    can_be_root || unavailable "$* must be installed, which needs root or sudo without a password"
    apt_knows "$@" || apt update
    apt install --yes --no-install-recommends "$@"
}

# Brings a package's file into the current folder without installing it.
apt_download() { apt download -o APT::Sandbox::User=root "$@"; }

apt_knows() { apt-cache show "$@" >/dev/null 2>&1; }

# Most parts start nothing that would have to be stopped.
down() { :; }

# The last line of every part's script.
main() {
    case ${1-} in
        up) up ;;
        down) down ;;
        *)
            say "usage: $0 up|down"
            exit 2
            ;;
    esac
}
