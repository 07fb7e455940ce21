#!/usr/bin/env bash
# Measures one monitor with many clusters: processor time and memory at rest, a failover in one of them against one in a monitor
# that has no other, and ten at once. Real redis-servers, a master and two replicas each.
#   scripts/bench-clusters.sh [--clusters 100] [--rest 30]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
clusters=100 rest=30 port=31000
while (($#)); do
  case $1 in
    --clusters) clusters=$2 ;;
    --rest) rest=$2 ;;
    *) wrong_usage "unknown argument $1" ;;
  esac
  shift 2
done
install_dependencies
build src/RedisFailover.Monitor "$MONITOR"
work=$(mktemp -d)
pids=()
finish() {
  kill -9 "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

zk=$((port - 1)) http=$((port - 2))
printf 'tickTime=500\ndataDir=%s\nclientPort=%d\nadmin.enableServer=false\nmaxClientCnxns=0\n' "$work/zk" "$zk" >"$work/zoo.cfg"
java -Xmx256m -cp "$(zookeeper_classpath)" org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/zoo.cfg" >"$work/zk.log" 2>&1 &
pids+=($!)

# node CLUSTER NUMBER [OPTIONS]: starts one; the address follows from both.
declare -A redis
node() {
  local at=$((port + 3 * $1 + $2)) cluster=$1 number=$2
  shift 2
  "$(redis_server)" --port "$at" --bind 127.0.0.1 --dir "$work" --save '' --appendonly no --loglevel warning --logfile "$work/redis.log" \
    --io-threads 1 --repl-diskless-sync yes --repl-diskless-sync-delay 0 "$@" >/dev/null &
  redis[$cluster.$number]=$!
  pids+=($!)
}

# settings FIRST LAST: the monitor's file.
settings() {
  local c
  printf '{ "zkservers": "127.0.0.1:%d", "znode-path": "/bench%d", "id": "m1", "http": "http://127.0.0.1:%d", "clusters": [\n' "$zk" "$1" "$http"
  for ((c = $1; c <= $2; c++)); do
    printf '{ "name": "c%d", "nodes": "127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d" },\n' "$c" $((port + 3 * c)) $((port + 3 * c + 1)) $((port + 3 * c + 2))
  done
  printf '] }\n'
}

# health STATE: how many clusters are in it.
health() { { curl -fs "http://127.0.0.1:$http/health" || true; } | grep -c "^      \"state\": \"$1\"" || true; }
ready() { curl -fs "http://127.0.0.1:$http/metrics" | grep -c '^redis_failover_node_role.*role="replica"} 1' || true; }

# monitor FIRST LAST: starts one, and waits until all replicas of all clusters are in use.
monitor() {
  settings "$1" "$2" >"$work/monitor.json"
  dotnet "$MONITOR" --config "$work/monitor.json" >"$work/monitor.log" 2>&1 &
  watching=$!
  pids+=("$watching")
  local second
  for ((second = 0; second < 120; second++)); do
    (($(ready) == 2 * ($2 - $1 + 1))) && return
    sleep 1
  done
  tail -5 "$work/monitor.log" >&2
  die "not all of the clusters $1 to $2 were ready within two minutes"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$watching/stat"; }

# failover FIRST LAST: kills these masters at once; prints the milliseconds of the slowest failover, as the history has them.
failover() {
  local c total slowest=0 attempt
  for ((c = $1; c <= $2; c++)); do kill -9 "${redis[$c.0]}"; done
  for ((c = $1; c <= $2; c++)); do
    total=
    for ((attempt = 0; attempt < 200; attempt++)); do
      total=$(curl -fs "http://127.0.0.1:$http/clusters/c$c/history" | grep -A60 '"failover"' | sed -n 's/.*"total": *\([0-9.]*\).*/\1/p' | head -1 || true)
      [[ -n $total ]] && break
      sleep 0.1
    done
    [[ -n $total ]] || die "no failover of c$c was seen"
    slowest=$(awk -v a="$total" -v b="$slowest" 'BEGIN { print (a > b ? a : b) }')
  done
  echo "$slowest"
}

for ((c = 0; c <= clusters; c++)); do
  node "$c" 0
  node "$c" 1 --replicaof 127.0.0.1 $((port + 3 * c))
  node "$c" 2 --replicaof 127.0.0.1 $((port + 3 * c))
done
sleep 5
monitor 0 0
sleep 10
alone=$(failover 0 0)
kill "$watching"
wait "$watching" || true

monitor 1 "$clusters"
sleep 10
before=$(ticks)
sleep "$rest"
echo "$clusters clusters of 3 nodes in one monitor:"
awk -v t=$(($(ticks) - before)) -v hz="$(getconf CLK_TCK)" -v s="$rest" 'BEGIN { printf "processor at rest   %.1f %% of a core\n", 100 * t / hz / s }'
awk '/VmRSS/ { printf "memory              %.0f MB\n", $2 / 1024 }' "/proc/$watching/status"
one=$(failover 1 1)
ten=$(failover 2 11)
awk -v a="$alone" -v o="$one" -v t="$ten" 'BEGIN {
  printf "failover alone      %.1f ms\nfailover in one     %.1f ms (%.1fx)\nten at once         %.1f ms for the slowest (%.1fx)\n", a, o, o / a, t, t / a }'
