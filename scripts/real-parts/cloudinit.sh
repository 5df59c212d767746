#!/usr/bin/env bash
# cloud-init's own check of what a machine is told at its first boot, for tests named real_cloudinit*:
# `cloud-init schema --config-file FILE` on the PATH.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder=$parts_dir/cloudinit
program=$folder/bin/cloud-init

up() {
    have cloud-init || [[ -x $program ]] || unpacked
    local probe=$folder/probe.yaml
    mkdir -p "$folder"
    printf '#cloud-config\npackages: [git]\n' >"$probe"
    PATH=$folder/bin:$PATH
    cloud-init schema --config-file "$probe" >/dev/null
    printf 'PATH=%s\n' "$PATH"
}

# Installed as Debian means it, it would take part in this machine's next boot; unpacked it only checks.
unpacked() {
    on_debian || unavailable "cloud-init, which this script knows to find on Debian and Ubuntu only"
    can_be_root || unavailable "the libraries of cloud-init must be installed, which needs root or sudo without a password"
    apt_knows cloud-init || apt update
    local libraries
    libraries=$(apt-cache depends cloud-init | sed -n -E 's/^ *Depends: (python3[a-z0-9.-]*)$/\1/p')
    # shellcheck disable=SC2086  # one argument each
    apt_install $libraries
    rm -rf "$folder"
    mkdir -p "$folder/unpacked"
    (cd "$folder" && apt_download cloud-init)
    dpkg-deb -x "$folder"/cloud-init_*.deb "$folder/unpacked"
    mkdir "$folder/bin"
    cat >"$program.new" <<END
#!/bin/sh
PYTHONPATH='$folder/unpacked/usr/lib/python3/dist-packages' exec /usr/bin/python3 -c \\
    'import sys; from cloudinit.cmd.main import main; sys.argv[0] = "cloud-init"; sys.exit(main())' "\$@"
END
    chmod +x "$program.new"
    mv "$program.new" "$program"
}

main "$@"
