#!/bin/sh
# Mounts the disk of a volume: mount-state FOLDER. The disk may come after the machine started; on
# machines with NVMe its name tells the volume, on others the device does.
set -eu
volume=VOLUME
! mountpoint -q -- "$1" || exit 0
name=/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$(printf %s "$volume" | tr -d -)
waited=0
until device=$(readlink -e "$name" || readlink -e /dev/xvdf || readlink -e /dev/sdf); do
  waited=$((waited + 1))
  if [ "$waited" -gt 600 ]; then
    echo "volume $volume is not attached" >&2
    exit 1
  fi
  sleep 1
done
# A file system is made only where there is none: what is on the disk outlives the machine. blkid
# ends with 2 where it finds nothing; anything else that fails is no reason to write on the disk.
found=0
blkid -p -- "$device" >/dev/null || found=$?
case $found in
  0) ;;
  2) mkfs.ext4 -q -- "$device" ;;
  *) echo "cannot tell what is on $device" >&2; exit 1 ;;
esac
mkdir -p -- "$1"
mount -o nodev,nosuid -- "$device" "$1"
