# Builds an attribute of a flake on the machine itself, and prints its path in the store.
#
#   build FOLDER ATTRIBUTE
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
command -v nix >/dev/null || {
    echo "there is no nix on this machine: it has to be NixOS" >&2
    exit 69
}
exec nix --extra-experimental-features 'nix-command flakes' build --print-build-logs --print-out-paths \
    --out-link "$1/result" "path:$1/flake#$2"
