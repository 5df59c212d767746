# Takes the machine's own modules from /etc/nixos, where its installation put them, and tells who builds the version and how
# many seconds the machine is to wait for a confirmation.
#
#   gather VERSION
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:$PATH
cd "/var/lib/deployix/system/$1"
[ -e host-modules ] || {
    echo "what all modules of this machine come after is not there: deploy without --only once" >&2
    exit 66
}
while IFS= read -r module; do
    [ -e "/etc/nixos/$module" ] || {
        echo "extensions.nixos.modules names $module, and there is no /etc/nixos/$module on this machine:" \
            "make it with nixos-generate-config, or put it there" >&2
        exit 66
    }
    mkdir -p "flake/$(dirname "$module")"
    cp -L "/etc/nixos/$module" "flake/$module"
done <host-modules
cat build confirm-within
