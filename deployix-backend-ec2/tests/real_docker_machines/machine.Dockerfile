# A machine as a Debian 13 image of a cloud has it, with an engine already installed, since each start would fetch it anew:
# systemd as process 1 and cloud-init, which is told what to do by a folder (NoCloud). Only the base image of Debian 12 is taken
# for granted. Each machine's engine loads its own base image from a file, for want of a registry.
FROM debian:bookworm-slim
RUN find /etc/apt -name '*.list' -o -name '*.sources' | xargs sed -i 's/bookworm/trixie/g' \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates cloud-init dbus docker-cli docker-compose docker.io e2fsprogs iproute2 iptables procps systemd \
      systemd-sysv \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* \
 && systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
      systemd-logind.service systemd-modules-load.service getty.target console-getty.service getty@.service \
      e2scrub_reap.service \
 && printf '%s\n' 'policy: enabled' >/etc/cloud/ds-identify.cfg \
 && printf '%s\n' 'datasource_list: [NoCloud]' 'network: {config: disabled}' >/etc/cloud/cloud.cfg.d/99-test.cfg \
 && printf '%s\n' '[Unit]' 'Requires=docker.service' 'After=docker.service' \
      '[Service]' 'Type=oneshot' 'ExecStart=/usr/bin/docker load --quiet --input /srv/base-image.tar' \
      'ExecStart=/usr/bin/docker tag deployix-test-machine-base debian:bookworm-slim' \
      '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/base-image.service \
 && systemctl enable base-image.service
ENV container=docker
STOPSIGNAL SIGRTMIN+3
