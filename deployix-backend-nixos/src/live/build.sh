# Builds an attribute of the flake in a folder, and prints its path in the store.
#
#   build FOLDER ATTRIBUTE
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
command -v nix >/dev/null || {
    echo "there is no nix on this machine" >&2
    exit 69
}
nix --extra-experimental-features 'nix-command flakes' build --print-build-logs --out-link "$1/result" \
    "path:$1/flake#$2" >&2
readlink "$1/result"
