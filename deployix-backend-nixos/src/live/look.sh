# Tells how far a script is that was started: a line with its phase, then its log from an offset on.
#
#   look RUN OFFSET
PATH=/run/wrappers/bin:/run/current-system/sw/bin:$PATH
run=/run/deployix-switch/$1
# Somebody still waits for it.
touch "$run/seen" 2>/dev/null
# In this order, so that the log is whole once the phase says that it is over.
running=$(systemctl is-active "deployix-$1.service")
phase=$(cat "$run/phase" 2>/dev/null)
case $running:$phase in
active:* | activating:* | *:kept | *:moved | *:reverted* | *:stuck* | *:ended*) ;;
*) phase=gone ;;
esac
printf '%s\n' "${phase:-waiting}"
[ ! -e "$run/log" ] || tail -c "+$(($2 + 1))" "$run/log"
