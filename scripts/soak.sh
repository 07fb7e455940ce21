#!/usr/bin/env bash
# What takes minutes by nature, and is not part of scripts/test.sh: 10,000 simulated clusters, a thousand failovers with everything open that
# applications have open, the other tests of category Nightly, leaders that have to stay (at rest, loaded, with ZooKeeper restarted or slow),
# and ten minutes of faults on real processes. About an hour and a half.
#   scripts/soak.sh [--minutes 10]      how long leaders are watched at rest and loaded, and how long scripts/chaos.sh runs, with write
#                                       safety and without
#   scripts/soak.sh [--failovers 1000]  how many failovers in a row may leave nothing behind
#   scripts/soak.sh --only simulation|endurance|nightly|leadership|chaos
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
minutes=10 failovers=1000 only=
while (($#)); do
  case $1 in
    --minutes) [[ ${2:-} =~ ^[0-9]+$ ]] || wrong_usage "--minutes needs a number" && minutes=$2 ;;
    --failovers) [[ ${2:-} =~ ^[0-9]+$ ]] || wrong_usage "--failovers needs a number" && failovers=$2 ;;
    --only)
      [[ ${2:-} =~ ^(simulation|endurance|nightly|leadership|chaos)$ ]] ||
        wrong_usage "--only is simulation, endurance, nightly, leadership or chaos"
      only=$2
      ;;
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
for project in IntegrationTests EcosystemTests; do
  part endurance env ENDURANCE_FAILOVERS="$failovers" dotnet test --no-build -c Release "$ROOT/test/RedisFailover.$project" \
    --filter 'FullyQualifiedName~EnduranceTests&TestCategory=Nightly' --logger 'console;verbosity=normal'
  part nightly dotnet test --no-build -c Release "$ROOT/test/RedisFailover.$project" \
    --filter 'FullyQualifiedName!~EnduranceTests&FullyQualifiedName!~StableLeadership&TestCategory=Nightly'
done
part leadership env SOAK_MINUTES="$minutes" dotnet test --no-build -c Release "$ROOT/test/RedisFailover.IntegrationTests" \
  --filter FullyQualifiedName~StableLeadership --logger 'console;verbosity=normal'
part chaos "$ROOT/scripts/chaos.sh" --minutes "$minutes" --write-safety replicated
part chaos "$ROOT/scripts/chaos.sh" --minutes "$minutes"
((${#failed[@]} == 0)) || die "failed: ${failed[*]}"
