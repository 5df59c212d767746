#!/bin/sh
# Puts the units of a functionality's profile in place of those before, or takes them away.
#
#   activate --check     tells whether it could, and changes nothing
#   activate [OLD]       OLD is the profile whose units run, where that is not noted on the machine
#   deactivate           stops the units and removes the links; what the services keep stays
#
# Links lead through the profile's generation, so that they are the same for all generations and tell whose they are.
# The directory of units is one that every systemd reads, after that of the machine's own configuration
# (systemd.unit(5)), and that no NixOS configuration manages.
set -eu
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin
directory=/etc/systemd/system.attached
self=$(dirname "$(dirname "$(readlink -f "$0")")")
read -r name <"$self/name"
profile=/nix/var/nix/profiles/deployix/$name
# Which profile's units run; gone after a boot, which starts those of the current generation.
marker=/run/deployix-profiles/$name
# How many seconds starting may take.
within=${DEPLOYIX_WITHIN:-600}

say() { printf '%s: %s\n' "$name" "$*" >&2; }

# The units of a profile, those of them that something on the machine wants, and all that it links to, as paths in it.
units() { (cd "$1/units" && find . -maxdepth 1 ! -type d | sed 's,^\./,,' | sort); }
wanted() { (cd "$self/units" && find . -mindepth 2 ! -type d | sed 's,.*/,,' | sort -u); }
links() { (cd "$1" && find units etc ! -type d | sort); }
at() {
    case $1 in
    units/*) printf '%s\n' "$directory/${1#units/}" ;;
    *) printf '/%s\n' "$1" ;;
    esac
}
# The place outside of /etc that has a link to one of these: etc/deployix/files/opt/x is for /opt/x.
outside() { case $1 in etc/deployix/files/*) printf '/%s\n' "${1#etc/deployix/files/}" ;; esac }

fragment() { systemctl show --property=FragmentPath --value -- "$1"; }
is_ours() { [ "$(readlink "$directory/$1")" = "$profile/units/$1" ] && [ "$(fragment "$1")" = "$directory/$1" ]; }
is_running() {
    case $(systemctl is-active -- "$1") in
    active | activating | reloading | deactivating) true ;;
    *) false ;;
    esac
}
# Socket activation: the sockets of a profile that start one of its services.
sockets_of() {
    units "$self" | while read -r unit; do
        case $unit in
        *.socket)
            if [ "$unit" = "${1%.service}.socket" ] || grep -qxF "Service=$1" "$self/units/$unit"; then echo "$unit"; fi
            ;;
        esac
    done
}

# Tells of what stands at a place instead of the link to TARGET.
foreign() {
    if [ -L "$1" ]; then
        [ "$(readlink "$1")" = "$2" ] || echo "$1 belongs to somebody else: it leads to $(readlink "$1")"
    elif [ -e "$1" ]; then
        echo "$1 belongs to somebody else"
    fi
}

check() {
    wrong=0
    case " $(systemctl show --property=UnitPath --value) " in
    *" $directory "*) ;;
    *)
        say "systemd does not read units from $directory here; its SYSTEMD_UNIT_PATH must end with a colon"
        wrong=1
        ;;
    esac
    # A subshell's variables are lost, so what it finds is told by its output.
    foreign=$(links "$self" | while IFS= read -r path; do
        place=$(at "$path")
        foreign "$place" "$profile/$path"
        outside=$(outside "$path")
        if [ -n "$outside" ]; then foreign "$outside" "$place"; fi
    done)
    taken=$(units "$self" | while read -r unit; do
        place=$(fragment "$unit")
        if [ -n "$place" ] && [ "$place" != "$directory/$unit" ]; then
            echo "the machine has a unit $unit already: $place"
        fi
    done)
    if [ -n "$foreign$taken" ]; then
        printf '%s\n%s\n' "$foreign" "$taken" | sed '/^$/d' | while IFS= read -r line; do say "$line"; done
        say "rename the functionality, or remove what has its place"
        wrong=1
    fi
    return "$wrong"
}

# The links of this functionality on the machine, of whichever generation.
placed() { find /etc -lname "$profile/*"; }

# Removes those that a profile does not have, and the links outside of /etc that lead to them; without one, all of them.
unlink_except() {
    placed | while IFS= read -r place; do
        path=$(readlink "$place")
        path=${path#"$profile/"}
        if [ -n "${1-}" ] && { [ -e "$1/$path" ] || [ -L "$1/$path" ]; }; then continue; fi
        outside=$(outside "$path")
        if [ -n "$outside" ] && [ "$(readlink "$outside")" = "$place" ]; then rm -f "$outside"; fi
        rm -f "$place"
        case $path in
        units/*/*) rmdir "$(dirname "$place")" 2>/dev/null || true ;;
        etc/deployix/*) (cd /etc && rmdir -p "$(dirname "${path#etc/}")" 2>/dev/null) || true ;;
        esac
    done
}

link_to() {
    links "$self" | while IFS= read -r path; do
        place=$(at "$path")
        mkdir -p "$(dirname "$place")"
        [ -L "$place" ] || ln -s "$profile/$path" "$place"
    done
}

# Whether a unit neither failed nor is, or was, started anew after it did.
is_well() {
    case $(systemctl show --property=ActiveState --property=SubState --value -- "$1" | paste -sd ' ' -) in
    failed* | *auto-restart*) false ;;
    *running) [ "$(systemctl show --property=NRestarts --value -- "$1" | sed 's/^$/0/')" = 0 ] ;;
    *) true ;;
    esac
}

explain() {
    say "$1 does not run: $(systemctl show --property=Result,ExecMainStatus,NRestarts -- "$1" | paste -sd ' ' -)"
    journalctl --no-pager --quiet --output=cat --lines=10 --unit="$1" | sed 's/^/  | /' >&2
}

activate() {
    check || exit 1
    old=$(readlink "$marker" || printf %s "${1-}")

    gone='' stopped='' restarted='' new=''
    for unit in $(placed | sed -n "s,^$directory/\([^/]*\)\$,\1,p"); do
        if [ ! -e "$self/units/$unit" ] && is_ours "$unit"; then gone="$gone $unit"; fi
    done
    for unit in $(units "$self"); do
        # After a change that was cut short nobody knows which version of a unit runs.
        if [ ! -e "$marker.changing" ] && cmp -s "$old/units/$unit" "$self/units/$unit"; then continue; fi
        new="$new $unit"
        if ! is_running "$unit" || grep -qxF X-RestartIfChanged=false "$self/units/$unit"; then continue; fi
        case $unit in
        # A socket cannot be opened anew while its service holds it.
        *.socket)
            service=$(sed -n 's/^Service=//p' "$self/units/$unit")
            stopped="$stopped $unit ${service:-${unit%.socket}.service}"
            ;;
        # What waits on a socket is started by the next connection, the new version then.
        *.service) if [ -n "$(sockets_of "$unit")" ]; then stopped="$stopped $unit"; else restarted="$restarted $unit"; fi ;;
        *.timer) restarted="$restarted $unit" ;;
        esac
    done

    mkdir -p "$(dirname "$marker")"
    : >"$marker.changing"
    # shellcheck disable=SC2086 # names of units are words
    if [ -n "$gone$stopped" ]; then
        say "stopping$gone$stopped"
        systemctl stop -- $gone $stopped
    fi
    unlink_except "$self"
    link_to
    systemctl daemon-reload
    # shellcheck disable=SC2086
    if [ -n "$gone" ]; then systemctl reset-failed -- $gone 2>/dev/null || true; fi
    if ! sh "$self/preparation/prepare.sh" "$self/preparation" >&2; then
        say "the machine could not be prepared"
        rm -f "$marker.changing"
        exit 1
    fi

    status=0
    if [ -n "$restarted" ]; then
        say "restarting$restarted"
        # shellcheck disable=SC2086
        timeout "$within" systemctl restart -- $restarted || status=$?
    fi
    # shellcheck disable=SC2046
    if [ "$status" -eq 0 ]; then timeout "$within" systemctl start -- $(wanted) || status=$?; fi
    if [ "$status" -eq 124 ]; then say "not ready within $within s"; fi
    # A program that ends right after its start has not failed yet when systemd says that it is started.
    if [ "$status" -eq 0 ] && [ -n "$new" ]; then sleep 2; fi
    for unit in $new; do
        if ! is_well "$unit"; then
            status=1
            explain "$unit"
        fi
    done
    ln -sfn "$self" "$marker"
    rm -f "$marker.changing"
    if [ "$status" -ne 0 ]; then
        say "it did not start"
        exit 1
    fi
    say "runs $self"
}

deactivate() {
    ours=
    for unit in $(units "$self"); do
        if is_ours "$unit"; then ours="$ours $unit"; fi
    done
    # shellcheck disable=SC2086
    if [ -n "$ours" ]; then
        systemctl stop -- $ours || true
        systemctl reset-failed -- $ours 2>/dev/null || true
    fi
    unlink_except
    systemctl daemon-reload
    rm -f "$marker" "$marker.changing" "/run/deployix-hosts/${name#*/}"
    say "runs no more"
}

case $(basename "$0") in
deactivate) deactivate ;;
*) if [ "${1-}" = --check ]; then check; else activate "$@"; fi ;;
esac
