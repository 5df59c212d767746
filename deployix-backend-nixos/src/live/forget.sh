# Removes the secrets of functionalities; with . those of all that are no profiles.
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
    else
        rm -rf "${secrets:?}/$deployment/$name"
    fi
done
