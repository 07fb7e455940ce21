#!/usr/bin/env bash
# Runs the tests in containers: monitors, Redis nodes and ZooKeeper, each in one of its own, and docker-compose.zk.yml.
#   scripts/test-containers.sh [--no-build] [--install] [argument of dotnet test ...]
# Takes the engine that answers (DOCKER_HOST, else the usual socket). Where none does, root has one started and stopped again; it keeps
# its images in a cache folder, so that the next run is quicker. Where there can be none it says so: "LEFT OUT: ...", exit code 0.
#   --install               Debian's docker.io, docker-compose and debootstrap, when they are missing
#   REDIS_IMAGE, ZOOKEEPER_IMAGE, MONITOR_IMAGE      instead of images that are made of Debian's packages
#   REDIS_IMAGES, ZOOKEEPER_IMAGES, REDIS_UPGRADE    instead of "redis:5 redis:6.2 redis:7.4 redis:8 valkey/valkey:8", "zookeeper:3.9" and
#                           "redis:6.2 redis:7.4": a failover with each, a rolling upgrade from one to the other. One that can neither be
#                           found nor pulled is skipped, and counted as such. These come last.
#   REDIS_FAILOVER_CACHE    the cache folder, default ~/.cache/redis-failover-zk
#   CONTAINER_TIME          seconds for all of it, default 360
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
install=0 build=1 built=(-p:RunAnalyzers=false)
while [[ ${1:-} == --install || ${1:-} == --no-build ]]; do
  if [[ $1 == --install ]]; then install=1; else build=0 built=(--no-build); fi
  shift
done
CACHE=${REDIS_FAILOVER_CACHE:-$HOME/.cache/redis-failover-zk}
ends=$((SECONDS + ${CONTAINER_TIME:-360}))

left_out() {
  echo "LEFT OUT: the tests in containers: $*"
  exit 0
}

# within COMMAND...: as long as there is time for all of it.
within() { timeout --kill-after=5 $((ends - SECONDS > 1 ? ends - SECONDS : 1)) "$@"; }

begin_work containers
log=$WORK/log

# ---- An engine ----------------------------------------------------------------------------------------------------------------

# What the older API of Debian's engine needs, and no container that looks after the others: the engine ends with us.
export DOCKER_API_VERSION=${DOCKER_API_VERSION:-1.41} TESTCONTAINERS_RYUK_DISABLED=true TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1
engine=
answers() { timeout 20 docker version >/dev/null 2>&1; }

# Containers first: an engine that is killed would leave their processes, mounts and interfaces.
stop_engine() {
  local status=$? i
  trap '' INT TERM HUP
  if [[ -n $engine ]]; then
    docker ps -aq 2>/dev/null | xargs -r timeout 60 docker rm -f -v >/dev/null 2>&1 || true
    timeout 60 docker network prune -f >/dev/null 2>&1 || true
    timeout 60 docker volume prune -f >/dev/null 2>&1 || true
    kill -TERM "$engine" 2>/dev/null || true
    for ((i = 0; i < 300; i++)); do
      kill -0 "$engine" 2>/dev/null || break
      sleep 0.1
    done
    ((had_bridge)) || ip link del docker0 2>/dev/null || true
  fi
  (exit "$status")
  end_work
}

start_engine() {
  ((EUID == 0)) || left_out "no engine answers, and only root can start one"
  if ! have dockerd || ! have docker || ! have debootstrap; then
    ((install)) && have apt-get || left_out "no engine answers, and dockerd, docker or debootstrap is not installed (--install)"
    install_packages docker.io docker-compose debootstrap iproute2 >"$log" 2>&1 || left_out "Debian's docker.io cannot be installed: $(tail -n 1 "$log")"
  fi
  mkdir -p "$CACHE"
  # One engine at a time has the cached images.
  exec {lock}>"$CACHE/lock"
  within flock "$lock" || left_out "another run has the images in $CACHE"
  had_bridge=0
  ip link show docker0 >/dev/null 2>&1 && had_bridge=1
  # No rules of the firewall are made: nothing of it is to be left behind.
  dockerd --data-root "$CACHE/docker" --exec-root "$WORK/exec" --pidfile "$WORK/docker.pid" --host "unix://$WORK/docker.sock" \
    --iptables=false --ip-masq=false --bip 10.213.0.1/24 --default-address-pool base=10.214.0.0/16,size=24 >"$WORK/engine.log" 2>&1 {lock}>&- &
  engine=$!
  export DOCKER_HOST=unix://$WORK/docker.sock
  for ((i = 0; i < 120; i++)); do
    answers && return
    kill -0 "$engine" 2>/dev/null || break
    sleep 0.5
  done
  grep -o 'level=fatal.*\|failed to start.*' "$WORK/engine.log" | tail -n 1 || true
  left_out "dockerd does not start here: $(tail -n 1 "$WORK/engine.log")"
}

trap stop_engine EXIT
answers || start_engine

# ---- Images -------------------------------------------------------------------------------------------------------------------

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# Redis, ZooKeeper and what .NET needs, of Debian's packages: made once.
BASE=redis-failover-test-base:1
make_base() {
  has_image $BASE && return
  have debootstrap || left_out "the images cannot be pulled here, and debootstrap is not installed (--install)"
  local suite root=$WORK/root
  # shellcheck source=/dev/null
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
  echo "making a base image of Debian's packages, once: some minutes"
  within debootstrap --variant=minbase --include=redis-server,zookeeper,libstdc++6,iproute2 "$suite" "$root" http://deb.debian.org/debian >"$log" 2>&1 ||
    left_out "debootstrap failed or took too long: $(tail -n 1 "$log")"
  within tar -C "$root" --exclude=./var/cache --exclude=./var/lib/apt --exclude=./usr/share/doc --exclude=./usr/share/locale --exclude=./proc \
    --exclude=./sys --exclude=./dev -cf - . | within docker import - $BASE >"$log" 2>&1 || left_out "docker import failed: $(tail -n 1 "$log")"
  rm -rf "$root"
}

# image NAME < Dockerfile, in the folder $context
image() { within docker build -q -t "$1" -f - "$context" >"$log" 2>&1 || left_out "docker build of $1 failed: $(tail -n 1 "$log")"; }

context=$ROOT/docker/test
if [[ -z ${REDIS_IMAGE:-} || -z ${ZOOKEEPER_IMAGE:-} || -z ${MONITOR_IMAGE:-} ]]; then
  make_base
fi
if [[ -z ${REDIS_IMAGE:-} ]]; then
  export REDIS_IMAGE=redis-failover-test-redis
  printf 'FROM %s\nWORKDIR /data\nCOPY redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh\nENTRYPOINT ["docker-entrypoint.sh"]\nCMD ["redis-server"]\n' $BASE | image "$REDIS_IMAGE"
fi
if [[ -z ${ZOOKEEPER_IMAGE:-} ]]; then
  export ZOOKEEPER_IMAGE=redis-failover-test-zookeeper
  printf 'FROM %s\nCOPY zookeeper-entrypoint.sh /usr/local/bin/docker-entrypoint.sh\nENTRYPOINT ["docker-entrypoint.sh"]\n' $BASE | image "$ZOOKEEPER_IMAGE"
fi
if [[ -z ${MONITOR_IMAGE:-} ]]; then
  export MONITOR_IMAGE=redis-failover-test-monitor
  context=$WORK/monitor
  mkdir "$context"
  for project in Monitor Cli; do
    within dotnet publish "$ROOT/src/RedisFailover.$project" -c Release "${built[@]}" -o "$context/redis-failover/${project,,}" -v quiet >"$log" 2>&1 ||
      left_out "$project cannot be published: $(tail -n 1 "$log")"
  done
  # The runtime of this machine.
  runtime=$(dirname "$(readlink -f "$(command -v dotnet)")")
  mkdir "$context/dotnet"
  cp -a "$runtime/dotnet" "$runtime/host" "$context/dotnet/"
  mkdir "$context/dotnet/shared"
  cp -a "$runtime/shared/Microsoft.NETCore.App" "$runtime/shared/Microsoft.AspNetCore.App" "$context/dotnet/shared/"
  {
    echo "FROM $BASE"
    echo "COPY dotnet /usr/share/dotnet"
    echo "COPY redis-failover /opt/redis-failover"
    echo "RUN ln -s /usr/share/dotnet/dotnet /opt/redis-failover/monitor/redis-failover-monitor /opt/redis-failover/cli/redis-failover /usr/local/bin/"
    echo "ENV DOTNET_ROOT=/usr/share/dotnet"
    # From here on as the product's own image.
    sed -n '/^ENV REDIS_FAILOVER_HTTP/,$p' "$ROOT/docker/Dockerfile" | sed 's/\${APP_UID}/1654/'
  } >"$WORK/Dockerfile"
  image "$MONITOR_IMAGE" <"$WORK/Dockerfile"
fi

# ---- The tests ----------------------------------------------------------------------------------------------------------------

((ends - SECONDS > 60)) || left_out "making the images took nearly all of ${CONTAINER_TIME:-360} s; the next run has them"
((!build)) || dotnet build -c Release "$ROOT/test/RedisFailover.ContainerTests" -v quiet
status=0
# run_tests WHICH ARGUMENT...
run_tests() {
  local which=$1 code=0
  shift
  within dotnet test --no-build -c Release "$ROOT/test/RedisFailover.ContainerTests" --results-directory "$WORK/results" "$@" || code=$?
  # A run that does not end with the time is killed: that is 137.
  if ((code == 124 || (code == 137 && SECONDS >= ends))); then
    echo "LEFT OUT: $which: not done within ${CONTAINER_TIME:-360} s"
    exit "$status"
  fi
  ((code == 0)) || status=$code
}

if (($#)); then
  run_tests "the tests in containers" "$@"
else
  run_tests "the tests in containers" --filter 'TestCategory!=Images'
  run_tests "the tests of further images in containers" --filter TestCategory=Images
fi
exit "$status"
