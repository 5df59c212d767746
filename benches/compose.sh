#!/usr/bin/env bash
# `docker compose up --detach` against `deployix deploy` for small services on this machine's engine: first, again with
# nothing changed, and with one service changed. Both work on the same images, networks and containers: those of the
# Compose project that `deployix compile` writes. Images are built from the engine's cache by both.
#
#   benches/compose.sh [SERVICES [RUNS]]     20 services and 5 runs unless said otherwise; prints medians in seconds
#
# Needs docker with its Compose plugin, and the program: $DEPLOYIX, else target/release/deployix.

set -euo pipefail
services=${1:-20} runs=${2:-5}
deployix=${DEPLOYIX:-$(dirname "${BASH_SOURCE[0]}")/../target/release/deployix}
deployix=$(realpath "$deployix")
work=$(mktemp -d)
cd "$work"
trap 'stop_both >/dev/null 2>&1 || true; forget >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

# A deployment of a name, in a range of its own, whose first service has a variable of some value.
specs() {
    local name=$1 third=$2 value=$3 service
    mkdir -p "$name"
    {
        printf 'version = 1\nname = "%s"\n[target.box]\nbackend = "docker"\n' "$name"
        printf 'extensions.docker = { firewall = false, subnets = "10.%s.0.0/16" }\n' "$third"
        for ((service = 1; service <= services; service++)); do
            printf '[functionality.s%s]\nfqdn = "s%s.example.com"\n' "$service" "$service"
            ((service == 1)) || printf 'upstream-hosts = ["s1.example.com"]\n'
            printf 'service.start = ["sleep", "infinity"]\nservice.endpoints.http.port = 80\n'
            ((service != services)) || printf 'service.env.VALUE = "%s"\n' "$value"
        done
    } >"$name/deployment.toml"
}

compose() { docker compose --progress quiet --file compose/out/box/compose.yaml "$@" >/dev/null 2>&1; }
compile() { "$deployix" compile compose/deployment.toml --out compose/out >/dev/null 2>&1; }
deploy() { "$deployix" deploy deployix/deployment.toml --yes >/dev/null 2>&1; }
stop_both() {
    compose down --volumes --rmi all --timeout 1
    "$deployix" destroy deployix/deployment.toml --yes --volumes
    rm -rf deployix/history
}

# The engine forgets the steps of a build with the last image that has them, so each gets a second name meanwhile.
ours() { docker image ls --format '{{.Repository}}:{{.Tag}}' | grep -E "^$1" || true; }
keep() {
    local image
    while IFS= read -r image; do docker tag "$image" "kept-$image"; done < <(ours 'deployix-(compose|deployix)/')
}
forget() { ours 'kept-deployix-(compose|deployix)/' | xargs -r docker image rm; }

timed() {
    local begin
    begin=$(date +%s.%N)
    "${@:2}"
    echo "$(date +%s.%N) - $begin" | bc >>"$1"
}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.2f", (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }

specs compose 201 0
specs deployix 202 0
compile
# Fills the engine's cache of build steps, for both.
compose up --detach && deploy
keep
for ((run = 1; run <= runs; run++)); do
    stop_both >/dev/null 2>&1
    specs compose 201 0 && specs deployix 202 0 && compile
    timed compose-first compose up --detach
    timed deployix-first deploy
    # Side by side, as whatever else the machine does falls on both then.
    for _ in {1..5}; do
        timed compose-again compose up --detach
        timed deployix-again deploy
    done
    specs compose 201 "$run" && specs deployix 202 "$run" && compile
    timed compose-changed compose up --detach
    timed deployix-changed deploy
done

printf '| %s services | docker compose up --detach | deployix deploy | ratio |\n|---|---:|---:|---:|\n' "$services"
for what in first again changed; do
    c=$(median compose-$what) d=$(median deployix-$what)
    printf '| %s | %s s | %s s | %s |\n' "$what" "$c" "$d" "$(echo "scale=2; $c / $d" | bc)"
done
