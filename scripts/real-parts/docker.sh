#!/usr/bin/env bash
# A Docker engine, for tests named real_docker*: one that answers, `docker compose` of version 2, and the image that the
# Docker backend builds on unless told otherwise, in which apt reaches its mirror. Tests whose engine or machine is a container
# reach it by OpenSSH's client.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

base_image=debian:bookworm-slim
base_suite=bookworm
# The first Debian release whose docker-compose is version 2.
compose_suite=trixie

started=${DEPLOYIX_STARTED:-$parts_dir}/docker-started
log=$parts_dir/dockerd.log

up() {
    engine
    compose
    image
    ssh_client
}

# What `up` started is named in the file $started: `systemd`, or the process id of a dockerd.
down() {
    [[ -e $started ]] || return 0
    case $(<"$started") in
        systemd) as_root systemctl stop docker.socket docker.service ;;
        *) stop_dockerd "$(<"$started")" ;;
    esac
    rm -f "$started"
}

engine() {
    ! answers || return 0
    if ! have docker || ! [[ -x /usr/sbin/dockerd ]]; then apt_install docker.io; fi
    # Debian packages the client apart from trixie on.
    have docker || apt_install docker-cli
    ! answers || return 0
    can_be_root || unavailable "no Docker engine answers, and starting one needs root or sudo without a password"
    if [[ -d /run/systemd/system ]]; then
        echo systemd >"$started"
        as_root systemctl start docker.service
    else
        start_dockerd
    fi
    for _ in {1..60}; do
        if answers; then
            clear_leftovers
            return 0
        fi
        sleep 0.5
    done
    if [[ -e $log ]]; then tail -n 5 "$log" >&2; fi
    unavailable "the Docker engine does not answer $(id -un): $(docker info 2>&1 >/dev/null | tail -n 1)"
}

answers() { have docker && docker info >/dev/null 2>&1; }

# An engine that was just started runs no test. So what bears a test's name was left by one that was killed; its addresses
# would be missed, and its names met again.
clear_leftovers() {
    local left
    left=$(docker ps --all --quiet --filter name='^deployix-test-')
    [[ -z $left ]] || xargs docker rm --force --volumes <<<"$left" >/dev/null
    left=$(docker network ls --quiet --filter name='^deployix-test-')
    [[ -z $left ]] || xargs docker network rm <<<"$left" >/dev/null
    left=$(docker volume ls --quiet --filter name='^deployix-test-')
    [[ -z $left ]] || xargs docker volume rm <<<"$left" >/dev/null
}

start_dockerd() {
    # The shell that dockerd replaces tells its own id, which is dockerd's then.
    # shellcheck disable=SC2016  # $$ is the inner shell's
    as_root setsid --fork sh -c 'echo $$ >"$1"; exec dockerd >"$2" 2>&1 </dev/null 3>&-' sh "$started" "$log"
}

stop_dockerd() {
    local pid=$1
    # The id may have been given to something else since.
    [[ -e /proc/$pid && $(<"/proc/$pid/comm") == dockerd ]] || return 0
    as_root kill "$pid"
    for _ in {1..60}; do
        [[ -d /proc/$pid ]] || return 0
        sleep 0.5
    done
    say "dockerd ($pid) does not stop; see $log"
    return 1
}

compose() {
    ! compose_is_v2 || return 0
    on_debian || unavailable "docker compose version 2"
    local package
    for package in docker-compose-v2 docker-compose-plugin docker-compose; do
        if [[ $(candidate "$package") == [2-9]* ]]; then
            apt_install "$package"
            break
        fi
    done
    compose_is_v2 || compose_from_newer_debian
    compose_is_v2 || unavailable "docker compose version 2"
}

compose_is_v2() { docker compose version >/dev/null 2>&1; }

# The version that apt would install, without its epoch; nothing where it knows none.
candidate() { apt-cache policy "$1" | sed -n -E 's/^ *Candidate: ([0-9]+:)?([0-9].*)/\2/p'; }

# Takes the plugin alone out of a newer Debian's package, for this user, and leaves the machine's packages as they are.
compose_from_newer_debian() {
    local mirror work plugins
    mirror=$(debian_mirror)
    plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/unpacked" "$plugins"
    echo "deb $mirror $compose_suite main" >"$work/sources.list"
    local newer=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/lists")
    apt "${newer[@]}" update
    (cd "$work" && apt_download "${newer[@]}" docker-compose)
    dpkg-deb -x "$work"/docker-compose_*.deb "$work/unpacked"
    install -m 0755 "$work/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$plugins/"
    as_root rm -rf "$work"
}

image() {
    ! docker image inspect "$base_image" >/dev/null 2>&1 || return 0
    ! docker pull --quiet "$base_image" >/dev/null 2>&1 || return 0
    say "  no registry gives $base_image; making it from Debian's packages"
    image_from_packages
}

# The same image out of packages, with the apt settings (proxies and such) that let this machine reach its mirror.
image_from_packages() {
    local mirror root
    mirror=$(debian_mirror)
    have debootstrap || apt_install debootstrap
    root=$(mktemp -d)
    as_root debootstrap --variant=minbase --include=ca-certificates "$base_suite" "$root" "$mirror" >"$parts_dir/debootstrap.log" ||
        { tail -n 5 "$parts_dir/debootstrap.log" >&2; unavailable "$base_image"; }
    apt-config dump | grep -E '^Acquire::(http|https|Check-[A-Za-z-]*|Retries)\b' |
        as_root tee "$root/etc/apt/apt.conf.d/90machine" >/dev/null
    as_root find "$root/var/lib/apt/lists" "$root/var/cache/apt" -type f -delete
    as_root tar -C "$root" -c . | docker import --change 'CMD ["bash"]' - "$base_image" >/dev/null
    as_root rm -rf "$root"
}

# Debian's mirror, as this machine's own apt configuration names it.
debian_mirror() {
    on_debian || unavailable "a Debian mirror"
    local mirror
    mirror=$(known_mirror)
    [[ $mirror ]] || { apt update; mirror=$(known_mirror); }
    [[ $mirror ]] || unavailable "a Debian mirror (apt on this machine has none)"
    printf '%s\n' "$mirror"
}

known_mirror() {
    # shellcheck disable=SC2016  # apt fills these in
    apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' |
        awk '$2 == "main" && !found { print $1; found = 1 }'
}

ssh_client() { { have ssh && have ssh-keygen; } || apt_install openssh-client; }

main "$@"
