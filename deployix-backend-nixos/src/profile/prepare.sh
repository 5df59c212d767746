#!/bin/sh
# Makes what the units of a functionality need of their machine: users, directories, names of hosts. The one argument is
# the folder that says which. Runs as root before each start, so that nothing is missing after a boot or after another
# system removed it.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin
here=$1
read -r name <"$here/name"

if [ -s "$here/sysusers.conf" ]; then systemd-sysusers "$here/sysusers.conf"; fi
if [ -s "$here/tmpfiles.conf" ]; then systemd-tmpfiles --create "$here/tmpfiles.conf"; fi
if [ -s "$here/hosts" ]; then
    mkdir -p /run/deployix-hosts
    new=$(mktemp "/run/deployix-hosts/.$name.XXXXXX")
    # The machine's own names, as they are now, after those that the functionality relies on.
    cat "$here/hosts" /etc/hosts >"$new"
    chmod 444 "$new"
    mv -f "$new" "/run/deployix-hosts/$name"
fi
