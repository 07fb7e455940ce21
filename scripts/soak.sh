#!/usr/bin/env bash
# What takes minutes by nature, and is not part of scripts/test.sh: 10,000 simulated clusters, the tests of category Nightly (endurance,
# thousands of failovers, freezing at every step), and ten minutes of faults on real processes. About half an hour.
#   scripts/soak.sh [--minutes 10]      how long scripts/chaos.sh runs, with write safety and without
#   scripts/soak.sh --only simulation|nightly|chaos
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
minutes=10 only=
while (($#)); do
  case $1 in
    --minutes) [[ ${2:-} =~ ^[0-9]+$ ]] || wrong_usage "--minutes needs a number" && minutes=$2 ;;
    --only) [[ ${2:-} =~ ^(simulation|nightly|chaos)$ ]] || wrong_usage "--only is simulation, nightly or chaos" && only=$2 ;;
    *) wrong_usage "not an argument: $1" ;;
  esac
  shift 2
done
install_dependencies
dotnet build -c Release "$ROOT/redis-failover-zk.sln" -v quiet
failed=()
part() { # NAME COMMAND...
  [[ -z $only || $only == "$1" ]] || return 0
  echo "== $1"
  "${@:2}" || failed+=("$1")
}

part simulation env SIMULATION_COUNT=10000 dotnet test --no-build -c Release "$ROOT/test/RedisFailover.UnitTests" --filter FullyQualifiedName~Simulation
part nightly dotnet test --no-build -c Release "$ROOT/test/RedisFailover.IntegrationTests" --filter TestCategory=Nightly
part chaos "$ROOT/scripts/chaos.sh" --minutes "$minutes" --write-safety replicated
part chaos "$ROOT/scripts/chaos.sh" --minutes "$minutes"
((${#failed[@]} == 0)) || die "failed: ${failed[*]}"
