# Switches the machine to a new system, and goes back to the old one unless somebody confirms in time that the machine
# can still be reached. Until then nothing else is changed: a machine that restarts meanwhile starts the old one.
#
#   activate VERSION BASE SYSTEM SECONDS
#
# VERSION was made from BASE, the version that has to be current still; with the VERSION - the machine is left as it was
# before its first one. What goes on is in the files phase and log of the folder $run, and the file confirmed there
# confirms. Where nobody looks any more, it is given up.
set -u
PATH=/run/wrappers/bin:/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin:$PATH
version=$1 base=$2 system=$3 seconds=$4
# Set by whoever starts it.
# shellcheck disable=SC2154
cd "$run" || exit 1
profile=/nix/var/nix/profiles/system
cd /var/lib/deployix/system || exit 1
exec >>"$run/log" 2>&1

phase() {
    printf '%s\n' "$*" >"$run/phase.new" && mv -f "$run/phase.new" "$run/phase"
}

# Makes the new system that of the next boot, and its version the current one. What can fail for want of room comes first.
keep() {
    booted=$(readlink -f "$profile")
    if [ "$version" != - ]; then
        printf '%s\n' "$system" >"$version/system" && cp "$version/owner" owner.new && ln -sfn "$version" current.new || return
        [ -s before ] || printf '%s\n' "$old" >before.new || return
        [ "$(cat "$version/system")" = "$system" ] && [ -s owner.new ] && { [ -s before ] || [ -s before.new ]; } || return
    fi
    make_bootable || {
        status=$?
        # An installation without a profile has none to go back to.
        if [ -e "$booted/bin/switch-to-configuration" ]; then
            nix-env --profile "$profile" --set "$booted"
            "$booted/bin/switch-to-configuration" boot 9>&-
        fi
        return "$status"
    }
    [ "$version" = - ] || [ -z "$base" ] || rm -rf "$base"
}

make_bootable() {
    nix-env --profile "$profile" --set "$system" && "$system/bin/switch-to-configuration" boot 9>&- && name_current
}

name_current() {
    if [ "$version" = - ]; then
        rm -rf /var/lib/deployix/system/* /nix/var/nix/gcroots/deployix-before
        return
    fi
    if [ -e before.new ]; then
        ln -sfn "$old" /nix/var/nix/gcroots/deployix-before && mv -f before.new before || return
    fi
    mv -f owner.new owner && mv -f -T current.new current
}

# Units that failed, or are started again and again.
failing() {
    {
        systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d ' ' -f 1
        systemctl show --property=Id,NRestarts '*.service' | awk -F = '
            $1 == "Id" { id = $2 }
            $1 == "NRestarts" { restarts = $2 }
            NF == 0 { if (restarts > 0) print id; restarts = 0 }
            END { if (restarts > 0) print id }'
    } | sort -u
}

# Switches to the new system. That units fail which failed before, and which this is not about, is no failure of it. An
# initializer that never ends is one in the end, and so is what nobody waits for any more.
try() {
    before=$(failing)
    timeout --kill-after=30 900 "$system/bin/switch-to-configuration" test 9>&- &
    switching=$!
    while kill -0 "$switching" 2>/dev/null; do
        sleep 0.2
        if [ -n "$(find "$run/seen" -mmin +1)" ]; then
            kill "$switching"
            wait "$switching"
            status=125
            return 125
        fi
    done
    status=0
    wait "$switching" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 4 ] || return "$status"
    # A program that ends right after its start has not failed yet when systemd says that it is started.
    changed=$(grep -xE '.+[.]service' "$version/changed-units" 2>/dev/null)
    [ -z "$changed" ] || sleep 2
    for unit in $changed; do
        case $(systemctl show --property=ActiveState,SubState --value -- "$unit") in
        *failed* | *auto-restart*) return 4 ;;
        esac
        [ "$(systemctl show --property=NRestarts --value -- "$unit")" = 0 ] || return 4
    done
    [ "$status" -eq 4 ] || return 0
    for unit in $(systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d ' ' -f 1); do
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
flock --nonblock 9 || {
    phase "held $(cat /run/deployix-switch/holder 2>/dev/null)"
    flock 9
}
printf '%s since %s\n' "$(cat "$version/owner" 2>/dev/null)" "$(date '+%F %T')" >/run/deployix-switch/holder
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
    case $status in
    124) why="units were not ready within 15 minutes" ;;
    125) why="nobody waited for it any more" ;;
    esac
fi
phase reverting
if go_back; then
    phase "reverted $why"
else
    phase "stuck $why, and going back ended with status $?"
fi
