# Changes a profile, and notes on the machine what it is then.
#
#   profile RECORD deploy|remove DEPLOYMENT FUNCTIONALITY [PATH]
#
# RECORD is the file that says what the functionality is, which has to be as it was looked at, in $run/standing; the new
# one lies in $run, beside the script that does the rest.
set -u
PATH=/run/current-system/sw/bin:/usr/bin:/bin:/usr/sbin:/sbin
# Set by whoever starts it.
# shellcheck disable=SC2154
cd "$run" || exit 1
record=$1
shift

change() {
    flock --wait "${DEPLOYIX_LOCK_WITHIN:-900}" 8 || {
        echo "another change of this machine is still under way"
        return 4
    }
    [ "$(cat standing)" = "$(cat "$record" 2>/dev/null)" ] || {
        echo "somebody else changed it meanwhile"
        return 4
    }
    sh host "$@" 8>&- || return
    case $1 in
    remove) rm -f "$record" ;;
    *) cp record "$record.new" && mv -f "$record.new" "$record" ;;
    esac || return 5
}

status=0
change "$@" 8>>/run/deployix-records.lock >>log 2>&1 || status=$?
printf 'ended %s\n' "$status" >phase.new && mv -f phase.new phase
