#!/usr/bin/env bash
# Builds everything and runs all tests, unit and integration. The last line is the sum: "N passed, N failed".
# Exit code 0 only when every test passed, none was left out by an accident and at least one ran.
# Arguments are passed on to dotnet test: scripts/test.sh --filter "FullyQualifiedName~Failover"
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
# dotnet would say so only after the build, at length.
value=0
for argument in "$@"; do
  case $argument in
    --) break ;;
    -p:* | --list-tests | -t | --blame* | --*=* | --*:*) value=0 ;;
    --filter | --verbosity | -v | --logger | -l | --settings | -s | --collect | --environment | -e | --diag | -d) value=1 ;;
    *)
      ((value)) && [[ $argument != -* ]] || wrong_usage "not an argument of dotnet test: $argument"
      value=0
      ;;
  esac
done
((value == 0)) || wrong_usage "a value is missing after $argument"
install_dependencies

work=$(mktemp -d "${TMPDIR:-/tmp}/redis-failover-run.XXXXXX")
trap 'rm -rf "$work"' EXIT
log=$work/log

# Build and test runner leave empty directories in TMPDIR.
mkdir "$work/tmp"
export TMPDIR=$work/tmp
dotnet build -c Release "$ROOT/redis-failover-zk.sln" -v quiet

status=0
for project in UnitTests IntegrationTests; do
  # A test that hangs is named and ends the run of its project.
  timeout --kill-after=10 700 dotnet test --no-build -c Release "$ROOT/test/RedisFailover.$project" --results-directory "$work/results" \
    --blame-hang --blame-hang-timeout 120s --blame-hang-dump-type none "$@" 2>&1 | tee -a "$log" || status=$?
done

# "Passed!  - Failed:     0, Passed:     7, Skipped:     0, Total:     7, Duration: ..."
read -r passed failed < <(awk '
  /^(Passed|Failed|Skipped)! +- Failed: / {
    gsub(/[,:]/, " ")
    for (i = 1; i < NF; i++) {
      if ($i == "Failed" && $(i + 1) ~ /^[0-9]+$/) failed += $(i + 1)
      if ($i == "Passed" && $(i + 1) ~ /^[0-9]+$/) passed += $(i + 1)
    }
  }
  END { print passed + 0, failed + 0 }' "$log")

if ((status != 0 && failed == 0)); then
  echo "test run: a test project did not run to its end (exit code $status), which counts as a failed test"
  failed=1
fi
if ((passed + failed == 0)); then
  echo "test run: no test ran"
  status=1
fi
echo "$passed passed, $failed failed"
((status == 0 && failed == 0))
