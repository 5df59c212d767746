# Prints the record of a resource that is a part of the machine's system, or nothing.
#
#   part DEPLOYMENT MACHINE RECORD
cd /var/lib/deployix/system 2>/dev/null || exit 0
if [ "$(cat owner 2>/dev/null)" = "$1 $2" ]; then
    # One that goes meanwhile is none any more.
    cat "current/resources/$3" 2>/dev/null || true
fi
