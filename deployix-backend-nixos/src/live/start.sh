# Starts a script that goes on whatever becomes of the connection. It finds its folder in $run.
#
#   start RUN SCRIPT-ARGUMENTS..   with the script on standard input
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:$PATH
run=/run/deployix-switch/$1 unit=deployix-$1
shift
umask 022
mkdir -p /run/deployix-switch
# What runs left long ago.
find /run/deployix-switch -mindepth 1 -maxdepth 1 -type d -mmin +1440 -exec rm -rf {} +
umask 077
mkdir -p "$run"
cat >"$run/script"
: >"$run/seen"
exec systemd-run --quiet --collect --unit="$unit" --service-type=exec --setenv=run="$run" sh "$run/script" "$@"
