# Makes a new version of what the machine is made of, from the one that it runs.
#
#   prepare VERSION DEPLOYMENT MACHINE
#
# Prints the name of the version that it runs, or an empty line, then its records, one on each line.
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
version=$1 owner="$2 $3"
umask 022
mkdir -p /var/lib/deployix/system
cd /var/lib/deployix/system
command -v nix >/dev/null || {
    echo "there is no nix on this machine: it has to be NixOS" >&2
    exit 69
}
if [ -s owner ] && [ "$(cat owner)" != "$owner" ]; then
    echo "the system of this machine is that of machine and deployment \"$(cat owner)\", and a machine has one system:" \
        "deploy to it with extensions.nixos.deploy = \"profile\", or destroy the other deployment first" >&2
    exit 65
fi
current=$(readlink current || true)
# What runs left that were killed.
find . -mindepth 1 -maxdepth 1 -type d -name 'v-*' ! -name "${current:-v-}" -mmin +1440 -exec rm -rf {} +
if [ -n "$current" ]; then
    # Somebody else may just remove it, for one of his own.
    until cp -a "$current" "$version"; do
        before=$current
        current=$(readlink current)
        rm -rf "$version"
        [ "$current" != "$before" ] || exit 1
    done
else
    mkdir -p "$version/flake/modules" "$version/resources"
fi
printf '%s\n' "$owner" >"$version/owner"
printf '%s\n' "$current"
for record in "$version"/resources/*; do
    [ ! -e "$record" ] || cat "$record"
done
