# Changes a profile, and notes on the machine what it is then.
#
#   profile RECORD deploy|remove DEPLOYMENT FUNCTIONALITY [PATH]
#
# RECORD is the file that says what the functionality is; the new one lies in $run, beside the script that does the rest.
set -u
# Set by whoever starts it.
# shellcheck disable=SC2154
cd "$run" || exit 1
record=$1
shift
status=0
sh host "$@" >>log 2>&1 || status=$?
if [ "$status" -eq 0 ]; then
    case $1 in
    remove) rm -f "$record" ;;
    *) cp record "$record.new" && mv -f "$record.new" "$record" ;;
    esac >>log 2>&1 || status=5
fi
printf 'ended %s\n' "$status" >phase.new && mv -f phase.new phase
