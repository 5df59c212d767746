# shellcheck shell=sh
# Runs one command for `remote.rs`: $0 is a word that nobody else knows, $1 seconds or nothing, the rest the command.
# Says which process group the command runs in, and with which status it ended. Lines of comment are not sent along.
limit=$1
shift
printf '%s\n' "$0"
printf '%s group %s\n' "$0" "$$" >&2
# What this shell has to say of the command's end is not the command's.
exec 3>&2 2>/dev/null
if [ -n "$limit" ]; then
    (
        trap 'kill "$pause"; exit' TERM
        sleep "$limit" &
        pause=$!
        wait "$pause"
        trap '' TERM
        kill -TERM "-$$"
        sleep 5
        kill -KILL "-$$"
    ) </dev/null >/dev/null 3>&- &
    watch=$!
fi
unstarted=
case $1 in
*/*)
    if [ ! -e "$1" ]; then unstarted=127; elif [ -d "$1" ] || [ ! -x "$1" ]; then unstarted=126; fi
    ;;
esac
if [ -n "$unstarted" ]; then
    printf '%s unstarted %s\n' "$0" "$unstarted" >&3
else
    (
        # It runs only where `exec` did not replace this shell.
        trap 'printf "%s unstarted %s\n" "$0" "$?" >&2' EXIT
        exec "$@"
    ) 2>&3 3>&-
    code=$?
fi
[ -z "$limit" ] || kill "$watch"
printf '%s exit %s\n' "$0" "$code" >&3
