#!/bin/sh
# Opens the machine's packet filter for one functionality, or closes it again: `open NAME RULES`, `close NAME`;
# `is-there NAME` tells whether there is one.
#
# The rules stand in a chain of their own, in the table that NixOS's firewall has where it is that of nftables (nixpkgs,
# nixos/modules/services/networking/firewall-nftables.nix).
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin
table='inet nixos-fw'
chain=deployix-$2

if ! nft list chain "$table" input-allow >/dev/null 2>&1; then
    echo "this machine has no chain \`input-allow\` in a table \`$table\`: nothing is opened or closed for $2" >&2
    if [ "$1" = is-there ]; then exit 1; else exit 0; fi
fi
# Lines such as: jump deployix-web # handle 12
jumps=$(nft --handle list chain "$table" input-allow | sed -n "s/^[[:space:]]*jump $chain # handle \([0-9]*\)\$/\1/p")
case $1 in
open)
    {
        printf 'add chain %s %s\nflush chain %s %s\n' "$table" "$chain" "$table" "$chain"
        printf 'table %s {\nchain %s {\n' "$table" "$chain"
        cat "$3"
        printf '\n}\n}\n'
        [ -n "$jumps" ] || printf 'add rule %s input-allow jump %s\n' "$table" "$chain"
    } | nft --file -
    ;;
close)
    if nft list chain "$table" "$chain" >/dev/null 2>&1; then
        {
            for handle in $jumps; do printf 'delete rule %s input-allow handle %s\n' "$table" "$handle"; done
            printf 'delete chain %s %s\n' "$table" "$chain"
        } | nft --file -
    fi
    ;;
esac
