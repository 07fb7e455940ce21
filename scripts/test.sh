#!/usr/bin/env bash
# Builds everything and runs all tests. The last line is the sum: "N passed, N failed".
#   scripts/test.sh                 everything but what takes minutes by nature (scripts/soak.sh) and containers
#   scripts/test.sh --quick         the inner loop: unit tests, and a core of the others on real servers
#   scripts/test.sh --containers    the tests in containers as well, where an engine is here or can be started
#   scripts/test.sh --filter "FullyQualifiedName~MasterLoss"    further arguments go to dotnet test
# Of what takes minutes (Nightly) a filter of your own selects nothing, unless it names a TestCategory.
# Exit code 0 only when every test passed, none was left out by an accident and at least one ran.
# REDIS_SERVER=/path/redis-server and ZOOKEEPER_HOME=/path run everything against other servers; tests of what a version lacks are
# skipped and say so.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"

# In this order, two side by side: most of their time is waiting, and the longest begins. Those that need containers run with --containers
# alone.
PROJECTS=(IntegrationTests EcosystemTests UnitTests)
SIDE_BY_SIDE=2
quick=0 containers=0 filter='TestCategory!=Pending&TestCategory!=Nightly'
arguments=()
select_tests() {
  filter="($1)&TestCategory!=Pending"
  [[ $1 == *TestCategory* ]] || filter+='&TestCategory!=Nightly'
}

while (($#)); do
  # dotnet would say so only after the build, at length.
  case $1 in
    --quick) quick=1 ;;
    --containers) containers=1 ;;
    --filter | --verbosity | -v | --logger | -l | --settings | -s | --collect | --environment | -e | --diag | -d)
      [[ -n ${2:-} && $2 != -* ]] || wrong_usage "a value is missing after $1"
      if [[ $1 == --filter ]]; then select_tests "$2"; else arguments+=("$1" "$2"); fi
      shift
      ;;
    --filter=*) select_tests "${1#*=}" ;;
    --) # settings of the run, which come last
      arguments+=("$@")
      break
      ;;
    -p:* | --list-tests | -t | --blame* | --*=* | --*:*) arguments+=("$1") ;;
    *) wrong_usage "not an argument of dotnet test: $1" ;;
  esac
  shift
done
install_dependencies

work=$(mktemp -d "${TMPDIR:-/tmp}/redis-failover-run.XXXXXX")
log=$work/log
touch "$log"
declare -A running=() # projects by the process that runs each, which leads a process group of its own
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Nothing outlives the script. A test runner that is told to end may hang; what the tests have started the kernel ends with them.
stop_all() {
  local status=$? pid i
  trap '' INT TERM HUP
  for pid in "${!running[@]}"; do
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid" 2>/dev/null || true
  done
  for pid in "${!running[@]}"; do
    for ((i = 0; i < 50; i++)); do
      kill -0 -- "-$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
  done
  end_compiler
  rm -rf "$work"
  exit "$status"
}

# Build and test runner leave empty directories in TMPDIR. Some servers of the tests run as another user and have to get there.
chmod 711 "$work"
mkdir "$work/tmp"
export TMPDIR=$work/tmp

# begin_tests PROJECT FILTER ARGUMENT...: a test that hangs is named and ends the run of its project.
begin_tests() {
  local project=$1 wanted=$2
  shift 2
  timeout --kill-after=10 1800 dotnet test --no-build -c Release "$ROOT/test/RedisFailover.$project" --filter "$wanted" \
    --results-directory "$work/results" --blame-hang --blame-hang-timeout 150s --blame-hang-dump-type none "$@" \
    >"$work/$project.log" 2>&1 </dev/null &
  running[$!]=$project
}

# end_tests: waits for one of those that run, and writes what it has said as a whole.
status=0
broken=()
end_tests() {
  local pid project code=0
  wait -n -p pid "${!running[@]}" || code=$?
  project=${running[$pid]}
  unset "running[$pid]"
  tee -a "$log" <"$work/$project.log"
  ((code == 0)) || status=$code
  if ((code != 0)) && ! grep -qE '^(Failed! |Test Run Failed)' "$work/$project.log"; then
    broken+=("$project did not run to its end (exit code $code)")
  fi
}

begin_compiler
if ((quick)); then
  for project in UnitTests IntegrationTests; do
    dotnet build -c Release "$ROOT/test/RedisFailover.$project" -v quiet -p:RunAnalyzers=false
  done
  end_compiler
  begin_tests UnitTests "$filter&TestCategory!=Slow" "${arguments[@]}"
  # Two at a time: with more clusters on a small machine, deadlines measure how long processes take to start.
  begin_tests IntegrationTests "$filter&TestCategory=Quick" "${arguments[@]}" -- NUnit.NumberOfTestWorkers=2
  while ((${#running[@]})); do end_tests; done
else
  dotnet build -c Release "$ROOT/redis-failover-zk.sln" -v quiet
  compile_ahead
  end_compiler
  for project in "${PROJECTS[@]}"; do
    [[ -d $ROOT/test/RedisFailover.$project ]] || continue
    ((${#running[@]} < SIDE_BY_SIDE)) || end_tests
    begin_tests "$project" "$filter" "${arguments[@]}"
  done
  while ((${#running[@]})); do end_tests; done
fi
if ((containers)); then
  # The engine's sockets have no room for a path as long as ours.
  TMPDIR=/tmp "$ROOT/scripts/test-containers.sh" --install --no-build 2>&1 | tee -a "$log" || status=$?
fi

# "Passed!  - Failed:     0, Passed:     7, Skipped:     0, Total:     7, Duration: ...", or with a console logger of your own a line "Passed: 7" each.
read -r passed failed skipped < <(awk '
  /^(Passed|Failed|Skipped)! +- Failed: / {
    gsub(/[,:]/, " ")
    for (i = 1; i < NF; i++) {
      if ($i == "Failed" && $(i + 1) ~ /^[0-9]+$/) failed += $(i + 1)
      if ($i == "Passed" && $(i + 1) ~ /^[0-9]+$/) passed += $(i + 1)
      if ($i == "Skipped" && $(i + 1) ~ /^[0-9]+$/) skipped += $(i + 1)
    }
  }
  /^ +(Passed|Failed|Skipped): [0-9]+$/ { if ($1 == "Passed:") passed += $2; else if ($1 == "Failed:") failed += $2; else skipped += $2 }
  END { print passed + 0, failed + 0, skipped + 0 }' "$log")

for project in "${broken[@]}"; do
  echo "test run: $project, which counts as a failed test"
  failed=$((failed + 1))
done
if ((containers && status != 0 && failed == 0)); then
  echo "test run: the tests in containers did not run to their end (exit code $status), which counts as a failed test"
  failed=1
fi
if ((passed + failed == 0)); then
  echo "test run: no test ran"
  status=1
fi
# What did not run is said last, where it is read.
grep '^LEFT OUT: ' "$log" || true
((skipped == 0)) || echo "test run: $skipped tests were skipped; each says why above"
echo "$passed passed, $failed failed"
((status == 0 && failed == 0))
