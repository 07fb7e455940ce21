#!/usr/bin/env bash
# Measures, side by side in one run: this project's ZooKeeper client and the Java client of the installed package, against the same
# server, in alternating rounds. Prints medians and the spread.
#   scripts/bench-zookeeper.sh [--rounds 11] [--scale 1.0] [--soak 0] [--only TEXT]
# --scale multiplies the operations per measurement; --soak N reads N times at the end and compares the heap before and after; --only measures what has TEXT in its name.
# Eleven short rounds (99 with several requests in flight, 198 for 256 gets) take about ten minutes. Needs a JDK (javac) for the Java side.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
install_dependencies
have javac || die "a JDK is needed to compile the Java side: apt-get install openjdk-17-jdk-headless (or any later one)."
BENCHMARKS=$ROOT/test/RedisFailover.Benchmarks/bin/Release/net10.0/RedisFailover.Benchmarks.dll
build test/RedisFailover.Benchmarks "$BENCHMARKS"
begin_work bench-zookeeper

mkdir "$WORK/classes"
javac -nowarn -proc:none -cp "$(zookeeper_classpath)" -d "$WORK/classes" "$ROOT/test/RedisFailover.Benchmarks/ZooKeeper/java/JavaClient.java" 2>"$WORK/javac.log" ||
  { cat "$WORK/javac.log" >&2; die "the Java side does not compile."; }

# Unlike the tests' servers this one has the whole compiler and a normal heap: it is not what is measured.
free_port
mkdir "$WORK/server"
printf '%s\n' "tickTime=500" "dataDir=$WORK/server/data" "clientPort=$PORT" "clientPortAddress=127.0.0.1" "4lw.commands.whitelist=*" \
  "admin.enableServer=false" "maxClientCnxns=0" >"$WORK/server/zoo.cfg"
classpath=$(zookeeper_classpath)
[[ ! -e $SIMPLE_LOGGER ]] || classpath+=:$SIMPLE_LOGGER
start server java -Xmx512m -Dzookeeper.forceSync=no -cp "$classpath" org.apache.zookeeper.server.quorum.QuorumPeerMain "$WORK/server/zoo.cfg"
wait_until 30 "ZooKeeper on port $PORT" zookeeper_serves server "$PORT"

dotnet "$BENCHMARKS" zookeeper --connect "127.0.0.1:$PORT" --java "$WORK/classes:$(zookeeper_classpath)" "$@"
