#!/usr/bin/env bash
# Measures how long three monitors are without a leader: from SIGTERM, kill -9 and SIGSTOP of the leading one until ZooKeeper tells
# of the next; and a commit under the leader's fence. With the master going at the same moment: bench-failover.sh --along leader,host.
#   scripts/bench-leader.sh [--rounds 5] [--zookeepers 1|3] [--session-timeout 4000]
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
install_dependencies
build src/RedisFailover.Monitor "$MONITOR"
build test/RedisFailover.Benchmarks "$ROOT/test/RedisFailover.Benchmarks/bin/Release/net10.0/RedisFailover.Benchmarks.dll"
exec dotnet "$ROOT/test/RedisFailover.Benchmarks/bin/Release/net10.0/RedisFailover.Benchmarks.dll" leader "$@"
