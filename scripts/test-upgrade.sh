#!/usr/bin/env bash
# Runs monitors of an earlier build and of this one side by side, through failovers, until all are new.
#   scripts/test-upgrade.sh [REVISION]     the earlier build: by default the last release, the state before CHANGELOG.md began the next
# Builds the earlier monitor in a folder of its own below the cache folder (REDIS_FAILOVER_CACHE, default ~/.cache/redis-failover-zk).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
(($# <= 1)) || wrong_usage "one revision at most"
install_dependencies
cd "$ROOT"
if (($#)); then
  revision=$(git rev-parse --verify --quiet "$1^{commit}") || wrong_usage "no revision of this repository: $1"
else
  next=$(sed -n 's/^## \[\(.*\)\] - unreleased$/\1/p' CHANGELOG.md)
  began=$(git log --reverse --format=%H -S"## [${next:-none}]" -- CHANGELOG.md | sed -n 1p)
  [[ -n $began ]] || die "CHANGELOG.md names no release before an unreleased one; give a revision"
  revision=$(git rev-parse "$began^")
fi
old=${REDIS_FAILOVER_CACHE:-$HOME/.cache/redis-failover-zk}/monitor-${revision:0:12}
if [[ ! -f $old/out/redis-failover-monitor.dll ]]; then
  rm -rf "$old"
  mkdir -p "$old/source"
  git archive "$revision" | tar -x -C "$old/source"
  dotnet publish -c Release "$old/source/src/RedisFailover.Monitor" -o "$old/out" -v quiet
  rm -rf "$old/source"
fi
echo "== monitors of ${revision:0:12} beside those of this build"
dotnet build -c Release "$ROOT/redis-failover-zk.sln" -v quiet
OLD_MONITOR=$old/out/redis-failover-monitor.dll dotnet test --no-build -c Release \
  "$ROOT/test/RedisFailover.IntegrationTests" --filter FullyQualifiedName~UpgradeTests --logger 'console;verbosity=normal'
