# Removes the secrets of functionalities that are neither part of the system nor a profile any more.
#
#   forget SECRETS DEPLOYMENT FUNCTIONALITY..
set -eu
secrets=$1 deployment=$2
shift 2
for name in "$@"; do
    if [ "$name" = . ]; then
        for folder in "$secrets/$deployment"/*; do
            [ -L "/nix/var/nix/profiles/deployix/$deployment/$(basename "$folder")" ] || rm -rf "$folder"
        done
        rmdir "$secrets/$deployment" 2>/dev/null || true
    elif [ ! -L "/nix/var/nix/profiles/deployix/$deployment/$name" ]; then
        rm -rf "${secrets:?}/$deployment/$name"
    fi
done
