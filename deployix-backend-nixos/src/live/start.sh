# Starts an activation that goes on whatever becomes of the connection.
#
#   start RUN SCRIPT-ARGUMENTS..   with the script on standard input
set -eu
PATH=/run/wrappers/bin:/run/current-system/sw/bin:$PATH
run=$1
shift
umask 022
mkdir -p /run/deployix-switch
# What runs left long ago.
find /run/deployix-switch -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} +
umask 077
mkdir -p "/run/deployix-switch/$run"
cat >"/run/deployix-switch/$run/activate"
exec systemd-run --quiet --collect --unit="deployix-$run" --service-type=exec \
    sh "/run/deployix-switch/$run/activate" "$@" "$run"
