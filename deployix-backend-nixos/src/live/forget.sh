# Removes secrets that nobody needs any more: of each NAME all but those that follow it, of a NAME without any all; with
# the name . those of all functionalities that are no profiles.
#
#   forget SECRETS DEPLOYMENT NAME[:SECRET,SECRET..]..
set -eu
cd "$1/$2" 2>/dev/null || exit 0
deployment=$2
shift 2
for what in "$@"; do
    name=${what%%:*}
    if [ "$name" = . ]; then
        for folder in *; do
            [ -L "/nix/var/nix/profiles/deployix/$deployment/$folder" ] || rm -rf "./$folder"
        done
    elif [ "$name" = "$what" ]; then
        rm -rf "./$name"
    elif [ -d "$name" ]; then
        for secret in "$name"/*; do
            case ,${what#*:}, in
            *,"$(basename "$secret")",*) ;;
            *) rm -f "$secret" ;;
            esac
        done
    fi
done
cd ..
rmdir "$deployment" 2>/dev/null || true
