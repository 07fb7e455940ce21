#!/usr/bin/env bash
# A failover before your eyes: ZooKeeper, a Redis master with two replicas, three monitors and a client under load, all on free ports of
# this machine. Kills the master, brings it back, kills the leading monitor, and tells what happened and when.
# Needs the .NET SDK; installs redis-server and zookeeper from Debian when they are missing. Leaves nothing behind.
# The last line is "failover: N ms, lost acknowledged writes: N".
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
(($# == 0)) || wrong_usage "takes no arguments: $1"

RATE=1000

say() {
  now_us
  printf '%6.2f s  %s\n' "$(((NOW - BEGAN) / 10000))e-2" "$*"
}

cli() { dotnet "$CLI" "$@" --zk "127.0.0.1:$ZK"; }

# Microseconds since 1970 of an ISO time.
us_of() { date -d "$1" +%s%6N; }

# The first value of "NAME": in JSON, without a parser: field NAME <json. Reads to the end: whoever writes must not meet a closed pipe.
field() { sed -nE "s/.*\"$1\": ?\"?([^\",}]*).*/\1/p" | sed -n 1p; }

zk_get() { bash "$(zookeeper_cli)" -server "127.0.0.1:$ZK" get "$1" 2>/dev/null; }

topology() { cli status --json | sed -n '/"topology"/,/^  }/p'; }
leader() { cli status --json | sed -n '/"leader"/,/}/p' | field id; }

in_use() { # MASTER_PORT REPLICAS: the topology as it was seen last
  local last
  last=$(tail -n 1 "$WORK/watch.log")
  [[ $last =~ \ ok:\ master\ 127.0.0.1:$1,\ replicas\ ([^,]*), ]] && (($(wc -w <<<"${BASH_REMATCH[1]}") == $2))
}

has_master() { tail -n 1 "$WORK/watch.log" | grep -q ' ok: master '; }
ended() { ! kill -0 "$1" 2>/dev/null; }
loaded() { (($(grep -c . "$WORK/load.log") >= 1)); }
another_leads() { LEADER=$(leader) && [[ -n $LEADER && $LEADER != "$1" ]]; }
recorded() { zk_get /redis_failover/history >"$WORK/history" && grep -q '"kind":"failover"' "$WORK/history"; }

install_dependencies
build src/RedisFailover.Monitor "$MONITOR"
build src/RedisFailover.Cli "$CLI"
begin_work demo
now_us
BEGAN=$NOW

# ---- a cluster ----------------------------------------------------------------------------------------------------------------
free_port && ZK=$PORT
free_port && R1=$PORT
free_port && R2=$PORT
free_port && R3=$PORT
start_zookeeper zookeeper "$ZK"
start_redis redis1 "$R1"
OLD_MASTER=$STARTED
start_redis redis2 "$R2" "replicaof 127.0.0.1 $R1"
start_redis redis3 "$R3" "replicaof 127.0.0.1 $R1"
wait_until 120 "ZooKeeper serves" zookeeper_serves zookeeper "$ZK"
wait_until 120 "the first replica follows" redis_follows "$R2" "$R1"
wait_until 120 "the second replica follows" redis_follows "$R3" "$R1"
say "ZooKeeper on port $ZK; Redis: master on port $R1, replicas on $R2 and $R3"

declare -A MONITOR_PID
for id in m1 m2 m3; do
  start "monitor-$id" dotnet "$MONITOR" --id "$id" --zkservers "127.0.0.1:$ZK" --nodes "127.0.0.1:$R1,127.0.0.1:$R2,127.0.0.1:$R3" \
    --session-timeout 2000
  MONITOR_PID[$id]=$STARTED
done
start watch dotnet "$CLI" watch --zk "127.0.0.1:$ZK" --timeout 120
wait_until 120 "the monitors agree on the master and two replicas" in_use "$R1" 2
say "three monitors run; $(leader) leads; master 127.0.0.1:$R1"

start load dotnet "$CLI" load --zk "127.0.0.1:$ZK" --rate $RATE --gap 2 --json
LOAD=$STARTED
wait_until 120 "the client writes" loaded
sleep 3
say "a client writes and reads $RATE times a second through the library"

# ---- the master dies ----------------------------------------------------------------------------------------------------------
echo
now_us
KILLED=$NOW
kill -KILL "$OLD_MASTER"
say "kill -9 of the master (pid $OLD_MASTER)"
wait_until 120 "a new master is published" has_master
wait_until 120 "the failover is in the history" recorded
sleep 1

# The monitors' view: the entry in the history ends with the publication, and says how long each step before it took.
ENTRY=$(grep '"kind":"failover"' "$WORK/history" | tail -n 1)
PUBLISHED=$(us_of "$(field at <<<"$ENTRY")")
MILLIS=$(sed -E 's/.*"millis":\{([^}]*)\}.*/\1/' <<<"$ENTRY")

# The client's view: the pause between two acknowledged writes in which the promotion fell. (ISO times compare as texts.)
PUBLICATION=$(sed -nE 's/.*"publication":([0-9.]*).*/\1/p' <<<"$MILLIS")
PROMOTED=$(awk -v us="$PUBLISHED" -v ms="${PUBLICATION:-0}" 'BEGIN { printf "%.6f", us / 1e6 - ms / 1e3 }')
PROMOTED=$(date -u -d "@$PROMOTED" +%Y-%m-%dT%H:%M:%S.%6NZ)
NEXT=$(sed -nE 's/.*"event":"gap","from":"([^"]*)","to":"([^"]*)".*/\1 \2/p' "$WORK/load.log" | awk -v at="$PROMOTED" '$1 <= at && at <= $2 { next_ = $2 } END { print next_ }')
[[ -n $NEXT ]] || {
  show_logs
  die "the client has seen no pause at $PROMOTED."
}
ACKNOWLEDGED=$(us_of "$NEXT")
{
  awk -v steps="$MILLIS" -v published="$PUBLISHED" -v killed="$KILLED" 'BEGIN {
    n = split(steps, step, ",")
    for (i = 1; i <= n; i++) {
      split(step[i], pair, ":")
      gsub(/"/, "", pair[1])
      millis[pair[1]] = pair[2]
    }
    at = (published - killed) / 1000 - millis["total"]
    text["verdict"] = "lost for good: the monitors agree"
    text["intent"] = "intent written: clients hold their writes"
    text["wait"] = "chosen: the replicas have said what they hold"
    text["promotion"] = "promoted: a replica is master"
    text["publication"] = "published in ZooKeeper"
    printf "%9.1f ms  seen down by the leading monitor\n", at
    for (i = 1; i <= n; i++) {
      split(step[i], pair, ":")
      gsub(/"/, "", pair[1])
      if (pair[1] == "total") continue
      at += pair[2]
      printf "%9.1f ms  %s\n", at, (pair[1] in text) ? text[pair[1]] : pair[1]
    }
  }'
  awk -v us=$((ACKNOWLEDGED - KILLED)) 'BEGIN { printf "%9.1f ms  the client has its next acknowledged write\n", us / 1000 }'
} | sort -n
echo
cli status

# ---- it comes back ------------------------------------------------------------------------------------------------------------
MASTER=$(topology | field master)
start redis1 "$(redis_server)" "$WORK/redis1/redis.conf"
say "the old master is started again, as the master that it was"
wait_until 120 "it is a replica in use" in_use "${MASTER##*:}" 2
wait_until 120 "it follows" redis_follows "$R1" "${MASTER##*:}"
say "ROLE of 127.0.0.1:$R1: $(redis-cli -p "$R1" role | sed -n 1,4p | paste -sd' '); topology: $(tail -n 1 "$WORK/watch.log" | cut -d' ' -f2-)"

# ---- the leading monitor dies -------------------------------------------------------------------------------------------------
echo
FORMER=$(leader)
BEFORE=$(topology)
now_us
KILLED_MONITOR=$NOW
kill -KILL "${MONITOR_PID[$FORMER]}"
say "kill -9 of the leading monitor $FORMER (session timeout 2 s)"
wait_until 120 "another monitor leads" another_leads "$FORMER"
now_us
# On its own: where Ctrl-C ends the tool, nothing is to be said of the topology.
AFTER=$(topology)
[[ $AFTER == "$BEFORE" ]] || die "the topology changed with the leader."
say "$LEADER leads, at most $(((NOW - KILLED_MONITOR) / 1000)) ms after; the topology is untouched"

echo
say "zkCli.sh -server 127.0.0.1:$ZK get /redis_failover/nodes"
zk_get /redis_failover/nodes | sed -n '/^{/,/^}/p'

# ---- the result ---------------------------------------------------------------------------------------------------------------
echo
kill -TERM "$LOAD"
wait_until 120 "the client reads everything back" ended "$LOAD"
REPORT=$(grep '"event":"report"' "$WORK/load.log") || {
  show_logs
  die "the client ended without a report."
}
say "the client wrote $(field writes <<<"$REPORT") times: $(field acknowledged <<<"$REPORT") acknowledged, $(field failedWrites <<<"$REPORT") failed ($(field ambiguousWrites <<<"$REPORT") may have been applied); $(field reads <<<"$REPORT") reads, $(field failedReads <<<"$REPORT") failed"
# Every kind of error with how often it came; the report has them all.
grep -oE '\{"operation":"[^}]*\}' <<<"$REPORT" | sed -nE 's/\{"operation":"([^"]*)","type":"([^"]*)","message":"(([^"\\]|\\.)*)","count":([0-9]+)\}/                \5 x \1: \2: \3/p' || true
echo "failover: $(((ACKNOWLEDGED - KILLED + 500) / 1000)) ms, lost acknowledged writes: $(field lostAcknowledgedWrites <<<"$REPORT")"
