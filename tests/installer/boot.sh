#!/usr/bin/env bash
# Boots the root directory that is named: systemd as the first process of the namespaces that this is started in.
# Made for fresh_debian.sh.
set -euo pipefail
ROOT=$1

mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t sysfs sysfs "$ROOT/sys"
mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
mount -t tmpfs tmpfs "$ROOT/tmp"
# The same hierarchies as outside: the Docker Engine is outside, too.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
else
    mount -t tmpfs -o mode=755 tmpfs "$ROOT/sys/fs/cgroup"
    while read -r mounted; do
        hierarchy=${mounted##*/}
        mkdir "$ROOT/sys/fs/cgroup/$hierarchy"
        [ "$hierarchy" != systemd ] || hierarchy=none,name=systemd
        mount -t cgroup -o "$hierarchy" cgroup "$ROOT/sys/fs/cgroup/${mounted##*/}"
    done < <(awk '$3 == "cgroup" { print $2 }' /proc/self/mounts)
fi
mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
for device in null zero full random urandom tty; do
    touch "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$ROOT/dev/pts"
ln -s pts/ptmx "$ROOT/dev/ptmx"
ln -s /proc/self/fd "$ROOT/dev/fd"
touch "$ROOT/run/docker.sock"
mount --bind /var/run/docker.sock "$ROOT/run/docker.sock"

cd "$ROOT"
pivot_root . mnt
umount -l /mnt
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    /lib/systemd/systemd --log-target=console --show-status=no
