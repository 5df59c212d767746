# Builds a version on the machine itself, and prints its path in the store.
#
#   build VERSION MACHINE
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
cd "/var/lib/deployix/system/$1"
exec nix --extra-experimental-features 'nix-command flakes' build --print-build-logs --print-out-paths \
    --out-link "$PWD/result" "path:$PWD/flake#nixosConfigurations.\"$2\".config.system.build.toplevel"
