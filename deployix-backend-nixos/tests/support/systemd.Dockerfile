FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      curl dbus nftables procps python3 systemd systemd-sysv \
 && systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
      systemd-logind.service getty.target console-getty.service getty@.service
ENV container=docker
STOPSIGNAL SIGRTMIN+3
