# Tells what the machine runs: a line with its system, one with that of its current version, then its records. The second
# is empty where the system is not that of the deployment.
#
#   observe DEPLOYMENT MACHINE
PATH=/run/wrappers/bin:/run/current-system/sw/bin:$PATH
readlink -f /run/current-system || echo
cd /var/lib/deployix 2>/dev/null || exit 0
if [ -e system/owner ] && [ "$(cat system/owner)" = "$1 $2" ]; then
    cat system/current/system
    cat system/current/resources/*
else
    echo
fi
for record in "profiles/$1"/*.json; do
    [ ! -e "$record" ] || cat "$record"
done
