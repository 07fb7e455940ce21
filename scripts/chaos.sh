#!/usr/bin/env bash
# Throws faults at the whole system, real processes each on a machine of its own as far as the network goes: kills, freezes, cut cables,
# restarts of ZooKeeper, switchovers, two at once; and looks up every acknowledged write afterwards. Exit code 1 when the system did not
# become whole again, when a loss is not in the history, or when a write was lost that a replica had confirmed.
#   scripts/chaos.sh --minutes 2 --seed 7
#   scripts/chaos.sh --compare            the same at Redis Sentinel, side by side
#   scripts/chaos.sh --help
# Needs Linux. The cables are cut in network namespaces, for which root or unprivileged user namespaces are needed, and iproute2; where
# neither is allowed everything but the cuts is done.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
CHAOS=$ROOT/test/RedisFailover.Chaos/bin/Release/net10.0/RedisFailover.Chaos.dll
install_dependencies
build src/RedisFailover.Monitor "$MONITOR"
build test/RedisFailover.Chaos "$CHAOS"

# The whole play in namespaces of its own: its processes, mounts and networks vanish with it, even after kill -9. ip(8) keeps its
# namespaces in /run/netns, so that gets a private file system.
private=(unshare --net --mount --pid --fork --kill-child --mount-proc)
((EUID == 0)) || private+=(--user --map-root-user)
namespaces=()
if have ip && have unshare && "${private[@]}" sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up && ip netns add try &&
  ip link add br0 type bridge && ip link add v0 type veth peer name eth0 netns try && ip link set v0 master br0' >/dev/null 2>&1; then
  namespaces=(--namespaces)
else
  echo "no network namespaces here (needs Linux, iproute2, and root or unprivileged user namespaces): faults that cut the network are left out"
fi

WORK=$(mktemp -d "${TMPDIR:-/tmp}/redis-failover-chaos.XXXXXX")
export TMPDIR=$WORK
# In the background, so that Ctrl-C and SIGTERM are heard at once: with the first process of its namespace everything ends.
if ((${#namespaces[@]})); then
  # shellcheck disable=SC2016 # expanded by the inner shell
  "${private[@]}" sh -c 'mount -t tmpfs tmpfs /run && mkdir /run/netns && exec "$@"' sh dotnet "$CHAOS" "${namespaces[@]}" "$@" &
else
  dotnet "$CHAOS" "$@" &
fi
play=$!
end() {
  local status=$?
  trap '' INT TERM HUP
  kill -KILL "$play" 2>/dev/null || true
  wait "$play" 2>/dev/null || true
  rm -rf "$WORK" 2>/dev/null || { sleep 1 && rm -rf "$WORK"; } # somebody was just writing his last words
  exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wait "$play"
