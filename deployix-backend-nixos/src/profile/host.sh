#!/bin/sh
# Changes which version of one functionality a machine runs, and leaves the one before running where the new one fails.
#
#   deploy DEPLOYMENT FUNCTIONALITY PATH            a profile that is in the machine's store
#   rollback DEPLOYMENT FUNCTIONALITY GENERATION    an earlier generation, by its number
#   remove DEPLOYMENT FUNCTIONALITY                 nothing of it any more, except what its services keep
#
# Generations are those of nix-env(1): /nix/var/nix/profiles/deployix/DEPLOYMENT/FUNCTIONALITY-N-link. One such change is
# under way on a machine at a time. Exit status: 0 done, 1 not done and everything as before, 2 usage, 3 the version
# before does not run either, 4 another change took longer than $DEPLOYIX_LOCK_WITHIN seconds.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin

usage() {
    echo "usage: deploy|rollback|remove DEPLOYMENT FUNCTIONALITY [PATH|GENERATION]" >&2
    exit 2
}
[ $# -ge 3 ] || usage
action=$1 deployment=$2 functionality=$3 which=${4-}
case $deployment$functionality in *[!a-z0-9-]*) usage ;; esac
profile=/nix/var/nix/profiles/deployix/$deployment/$functionality

say() { printf '%s\n' "$deployment/$functionality: $*" >&2; }
generation() { readlink "$profile" | sed "s/^$functionality-\([0-9]*\)-link\$/\1/"; }

exec 9>/run/deployix-profiles.lock
flock --wait "${DEPLOYIX_LOCK_WITHIN:-900}" 9 || {
    say "another change of this machine is still under way"
    exit 4
}
old='' before=''
if [ -L "$profile" ]; then
    old=$(readlink -f "$profile") before=$(generation)
fi

# The generation before is put back, the one that failed forgotten.
revert() {
    failed=$(generation)
    if [ -z "$old" ]; then
        "$new/bin/deactivate" 9>&- || true
        rm -f "$profile" "$profile-$failed-link"
        say "nothing ran before, and nothing of it runs now"
        exit 1
    fi
    nix-env --quiet --profile "$profile" --switch-generation "$before"
    say "going back to generation $before"
    if ! "$old/bin/activate" "$new" 9>&-; then
        say "generation $before does not run either"
        exit 3
    fi
    if [ "$action" = deploy ] && [ "$failed" != "$before" ]; then
        nix-env --quiet --profile "$profile" --delete-generations "$failed" || true
    fi
    say "generation $before runs again"
    exit 1
}

case $action in
deploy)
    new=$which
    [ -x "$new/bin/activate" ] || {
        say "no profile: ${new:-a path is missing}"
        exit 1
    }
    "$new/bin/activate" --check 9>&- || exit 1
    mkdir -p "$(dirname "$profile")"
    nix-env --quiet --profile "$profile" --set "$new"
    ;;
rollback)
    new=$(readlink -f "$profile-$which-link" || true)
    [ -x "$new/bin/activate" ] || {
        say "there is no generation ${which:-without a number}"
        exit 1
    }
    "$new/bin/activate" --check 9>&- || exit 1
    nix-env --quiet --profile "$profile" --switch-generation "$which"
    ;;
remove)
    if [ -n "$old" ]; then
        "$old/bin/deactivate" 9>&-
        rm -f "$profile" "$profile"-[0-9]*-link
        rmdir "$(dirname "$profile")" 2>/dev/null || true
    fi
    exit 0
    ;;
*) usage ;;
esac

# A service does not inherit the lock.
"$new/bin/activate" "$old" 9>&- || revert
say "generation $(generation)"
