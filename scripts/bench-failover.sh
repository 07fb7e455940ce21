#!/usr/bin/env bash
# Measures, side by side in one run: this system (three monitors) and Redis Sentinel (three sentinels), from the fault of the master
# (kill -9, SIGSTOP) until the next acknowledged write of a client that was told of the new one.
#   scripts/bench-failover.sh [--rounds 5] [--zookeepers 1|3] [--deadlines 1000,100] [--faults kill,freeze,switchover]
#                             [--along nothing,leader,host] [--sentinel yes|no]
# --along: what goes with the master: the leading monitor, or a whole host with it and the leading ZooKeeper server (with 3); of Sentinel,
# one of the three.
# A switchover is this system's alone: how long writers wait, and whether any write fails.
# A deadline is Sentinel's down-after-milliseconds and this system's max-failures x probe-timeout. Five rounds take about five minutes,
# most of which Sentinel needs between two rounds to see its replicas in order again.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
install_dependencies
build src/RedisFailover.Monitor "$MONITOR"
build test/RedisFailover.Benchmarks "$ROOT/test/RedisFailover.Benchmarks/bin/Release/net10.0/RedisFailover.Benchmarks.dll"
# The application's code is as it would be after a month: without this its compiler works on a second version of what the last round has used,
# on one of the cores that the next round needs (DOTNET_TieredCompilation=1 measures that).
export DOTNET_TieredCompilation=${DOTNET_TieredCompilation:-0}
exec dotnet "$ROOT/test/RedisFailover.Benchmarks/bin/Release/net10.0/RedisFailover.Benchmarks.dll" failover "$@"
