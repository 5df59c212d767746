#!/bin/bash
# Waits until a service is ready:
#   ready SECONDS tcp PORT | ready SECONDS http PORT PATH | ready SECONDS command ARGUMENT..
# bash alone can open connections, so nothing has to be installed for it.
set -u
deadline=$((SECONDS + $1))
kind=$2
shift 2

connected() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

answered() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    IFS=' ' read -r -t 5 _ status _ <&3
    [[ $status =~ ^[23][0-9][0-9]$ ]]
  ) 2>/dev/null
}

while true; do
  case $kind in
    tcp) connected "$1" && exit 0 ;;
    http) answered "$1" "$2" && exit 0 ;;
    command) "$@" && exit 0 ;;
  esac
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "not ready in time" >&2
    exit 1
  fi
  sleep 0.2
done
