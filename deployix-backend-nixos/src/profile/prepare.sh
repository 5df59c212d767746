#!/bin/sh
# Makes what the units of a functionality need of their machine, users, directories and names of hosts: FOLDER says
# which, SERVICE... who they are for.
#
# It runs before each start of a service, so that nothing is missing after a boot, and whenever another system was
# switched to, which may have removed users, and leads /etc/hosts to another file than the one that those of running
# services lie upon.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin
here=$1
shift
read -r name <"$here/name"

if [ -s "$here/sysusers.conf" ]; then systemd-sysusers "$here/sysusers.conf"; fi
if [ -s "$here/tmpfiles.conf" ]; then systemd-tmpfiles --create "$here/tmpfiles.conf"; fi
[ -s "$here/hosts" ] || exit 0

hosts=/run/deployix-hosts/$name
mkdir -p /run/deployix-hosts
new=$(mktemp "/run/deployix-hosts/.$name.XXXXXX")
# The machine's own names, as they are now, after those that the functionality relies on.
cat "$here/hosts" /etc/hosts >"$new"
chmod 444 "$new"
mv -f "$new" "$hosts"
for service; do
    process=$(systemctl show --property=MainPID --value -- "$service")
    if [ "$process" = 0 ]; then continue; fi
    if nsenter --target "$process" --mount cat /etc/hosts | cmp -s - "$hosts"; then continue; fi
    # A service that ends at this moment takes the new file when it starts again.
    systemctl bind --read-only "$service" "$hosts" /etc/hosts || echo "$service keeps the names it knows" >&2
done
