# Switches the machine to a new system, and goes back to the old one unless somebody confirms in time that the machine
# can still be reached. Until then nothing else is changed: a machine that restarts meanwhile starts the old one.
#
#   activate VERSION BASE SYSTEM SECONDS RUN
#
# VERSION was made from BASE, the version that has to be current still; with the VERSION - the machine is left as it was
# before its first one. What goes on is in the files phase and log of /run/deployix-switch/RUN, and the file confirmed there
# confirms.
set -u
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
version=$1 base=$2 system=$3 seconds=$4
run=/run/deployix-switch/$5
profile=/nix/var/nix/profiles/system
cd /var/lib/deployix/system || exit 1
exec >>"$run/log" 2>&1

phase() {
    printf '%s\n' "$*" >"$run/phase.new" && mv -f "$run/phase.new" "$run/phase"
}

# Makes the new system that of the next boot, and its version the current one.
keep() {
    before=$(readlink -f "$profile")
    nix-env --profile "$profile" --set "$system" || return
    "$system/bin/switch-to-configuration" boot 9>&- || {
        status=$?
        [ ! -e "$before" ] || nix-env --profile "$profile" --set "$before"
        return "$status"
    }
    if [ "$version" = - ]; then
        rm -rf /var/lib/deployix/system/* /nix/var/nix/gcroots/deployix-before
        return
    fi
    if [ ! -e before ]; then
        printf '%s\n' "$old" >before
        ln -sfn "$old" /nix/var/nix/gcroots/deployix-before
    fi
    printf '%s\n' "$system" >"$version/system"
    cp "$version/owner" owner
    ln -sfn "$version" current.new && mv -T current.new current || return
    [ -z "$base" ] || rm -rf "$base"
}

# Units that failed or are about to be started anew after they did.
failing() {
    systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d ' ' -f 1 | sort
}

# Switches to the new system. That units fail which failed before, and which this is not about, is no failure of it; an
# initializer that never ends is one in the end.
try() {
    before=$(failing)
    status=0
    timeout --kill-after=30 900 "$system/bin/switch-to-configuration" test 9>&- || status=$?
    [ "$status" -eq 4 ] || return "$status"
    for unit in $(failing); do
        if grep -qxF -e "$unit" "$version/changed-units" 2>/dev/null; then return 4; fi
        printf '%s\n' "$before" | grep -qxF -e "$unit" || return 4
    done
    echo "units that failed before fail still"
}

# What failed in the new system and is none of the old one's counts as failed until it is forgotten.
go_back() {
    "$old/bin/switch-to-configuration" test 9>&- || {
        systemctl reset-failed
        "$old/bin/switch-to-configuration" test 9>&-
    }
}

exec 9>>/run/deployix-switch/lock
flock 9
[ "$(readlink current 2>/dev/null)" = "$base" ] || {
    phase moved
    exit 0
}
old=$(readlink -f /run/current-system)
phase activating
if try; then
    phase activated
    waited=0
    until [ -e "$run/confirmed" ] || [ "$waited" -ge "$((seconds * 5))" ]; do
        sleep 0.2
        waited=$((waited + 1))
    done
    if [ -e "$run/confirmed" ]; then
        if keep; then
            phase kept
            exit 0
        fi
        why="the new system could not be made the one to boot"
    else
        why="nobody came back within $seconds s to confirm that the machine can be reached"
    fi
else
    why="switch-to-configuration ended with status $status"
    [ "$status" -ne 124 ] || why="units were not ready within 15 minutes"
fi
phase reverting
if go_back; then
    phase "reverted $why"
else
    phase "stuck $why, and going back ended with status $?"
fi
