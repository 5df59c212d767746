# A machine with the systemd of NixOS 25.05 (257), which is that of Debian 13, a Nix that builds without sandbox, users and
# network of its own, and a way in by SSH; only the base image of Debian 12 is taken for granted.
FROM debian:bookworm-slim
RUN find /etc/apt -name '*.list' -o -name '*.sources' | xargs sed -i 's/bookworm/trixie/g' \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      curl dbus git iproute2 nftables nix-bin openssh-server postgresql procps python3-psycopg2 systemd systemd-sysv \
 && systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
      systemd-logind.service getty.target console-getty.service getty@.service \
      postgresql.service e2scrub_reap.service \
 && mkdir -p /etc/nix /nix/store /nix/var/nix/profiles/per-user \
 && printf '%s\n' 'experimental-features = nix-command flakes' 'sandbox = false' 'build-users-group =' 'substituters =' \
      > /etc/nix/nix.conf \
 && touch /etc/NIXOS
ENV container=docker
STOPSIGNAL SIGRTMIN+3
