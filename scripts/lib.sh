# Shared by the scripts in this folder; sourced, never run. Needs bash 5 and what every Debian has.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what it sets is for the scripts that source it

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Diagnostics are off because a killed .NET process leaves its pipes for them in /tmp.
export DOTNET_EnableDiagnostics=0
export LC_ALL=C.UTF-8 DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_CLI_UI_LANGUAGE=en
# No build server that outlives the script: neither MSBuild's nodes nor the compiler's.
export MSBUILDDISABLENODEREUSE=1 UseSharedCompilation=false DOTNET_CLI_USE_MSBUILD_SERVER=0 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
# ZooKeeper's tools: Java's performance data would stay in /tmp.
export JVMFLAGS="${JVMFLAGS:-} -XX:-UsePerfData"
# Debian keeps servers where a plain user's PATH may not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# A wrong argument: one line, exit code 2.
wrong_usage() {
  echo "${0##*/}: $*; --help tells more." >&2
  exit 2
}

# help_or_go_on ARGUMENTS: prints the script's opening comment when --help is among them.
help_or_go_on() {
  local argument
  for argument in "$@"; do
    if [[ $argument == --help || $argument == -h ]]; then
      sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"
      exit 0
    fi
  done
}

have() { command -v "$1" >/dev/null 2>&1; }

# ---- What has to be installed -------------------------------------------------------------------------------------------------

as_root() {
  if ((EUID == 0)); then
    "$@"
  else
    sudo "$@"
  fi
}

redis_server() { echo "${REDIS_SERVER:-redis-server}"; }

zookeeper_classpath() {
  if [[ -n ${ZOOKEEPER_CLASSPATH:-} ]]; then
    echo "$ZOOKEEPER_CLASSPATH"
  elif [[ -n ${ZOOKEEPER_HOME:-} ]]; then
    echo "$ZOOKEEPER_HOME/lib/*"
  elif [[ -e /usr/share/java/zookeeper.jar ]]; then
    echo /usr/share/java/zookeeper.jar # its manifest names the other jars
  else
    return 1
  fi
}

zookeeper_cli() {
  [[ -z ${ZOOKEEPER_HOME:-} ]] || { echo "$ZOOKEEPER_HOME/bin/zkCli.sh" && return; }
  command -v zkCli.sh || { [[ -e /usr/share/zookeeper/bin/zkCli.sh ]] && echo /usr/share/zookeeper/bin/zkCli.sh; }
}

# Installs redis-server and ZooKeeper from Debian when they are missing. Neither package's service is started: the scripts start
# servers of their own, on ports of their own.
install_dependencies() {
  have dotnet || die "the .NET SDK (10.0 or later) is needed: dotnet is not on the PATH."
  local missing=()
  [[ -z ${REDIS_SERVER:-} ]] || [[ -x $REDIS_SERVER ]] || die "REDIS_SERVER=$REDIS_SERVER is no program."
  [[ -z ${ZOOKEEPER_HOME:-} ]] || [[ -x $ZOOKEEPER_HOME/bin/zkCli.sh ]] || die "ZOOKEEPER_HOME=$ZOOKEEPER_HOME has no bin/zkCli.sh."
  { [[ -n ${REDIS_SERVER:-} ]] || have redis-server; } && have redis-cli || missing+=(redis-server)
  { have java && zookeeper_classpath && zookeeper_cli; } >/dev/null || missing+=(zookeeper)
  ((${#missing[@]})) || return 0
  have apt-get || die "missing: ${missing[*]}; they can be installed from Debian's packages only. Install them yourself, then run this again."
  ((EUID == 0)) || have sudo || die "missing: ${missing[*]}; run 'apt-get install --no-install-recommends ${missing[*]}' as root, then this again."
  echo "installing: ${missing[*]}"
  install_packages "${missing[@]}" || die "apt-get could not install ${missing[*]}."
}

# install_packages NAME...: with a policy that forbids the start of services for as long as the packages are set up; one that is there
# already is respected.
install_packages() {
  as_root bash -euc '
    policy=/usr/sbin/policy-rc.d
    log=$(mktemp)
    trap "rm -f $log" EXIT
    if [[ ! -e $policy ]]; then
      trap "rm -f $log $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # What the packages say while they are set up is of interest only where they cannot be.
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1; then
      cat "$log" >&2
      exit 1
    fi
  ' bash "$@"
}

# ---- The built programs -------------------------------------------------------------------------------------------------------

MONITOR=$ROOT/src/RedisFailover.Monitor/bin/Release/net10.0/redis-failover-monitor.dll
CLI=$ROOT/src/RedisFailover.Cli/bin/Release/net10.0/redis-failover.dll

# build PROJECT DLL: builds it unless what is there is newer than all sources.
build() {
  local project=$1 dll=$2
  if [[ -e $dll ]] && [[ -z $(find "$ROOT/src" "$ROOT/test" "$ROOT"/Directory.* \( -name bin -o -name obj \) -prune -o \
    \( -name '*.cs' -o -name '*.csproj' -o -name '*.props' \) -newer "$dll" -print -quit) ]]; then
    return 0
  fi
  echo "building ${project##*/}"
  # The build leaves empty directories in TMPDIR.
  local log temporary status=0
  temporary=$(mktemp -d "${TMPDIR:-/tmp}/redis-failover-build.XXXXXX")
  # shellcheck disable=SC2064 # the directory of now
  trap "rm -rf '$temporary'" EXIT
  log=$(TMPDIR=$temporary dotnet build -c Release "$ROOT/$project" -v quiet 2>&1) || status=$?
  rm -rf "$temporary"
  trap - EXIT
  ((status == 0)) || {
    echo "$log" >&2
    die "$project does not build."
  }
  touch "$dll"
}

# Compilers that stay from one project to the next, a third faster, and end by end_compiler: a server of this script's own.
begin_compiler() { export UseSharedCompilation=true SharedCompilationId=redis-failover-$$; }

end_compiler() {
  local process
  for process in /proc/[0-9]*; do
    [[ -n ${SharedCompilationId:-} && $(tr '\0' ' ' 2>/dev/null <"$process/cmdline") == *"-pipename:$SharedCompilationId "* ]] || continue
    kill -KILL "${process#/proc/}" 2>/dev/null || true
  done
  rm -f "/tmp/${SharedCompilationId:-none}"
  unset SharedCompilationId
  export UseSharedCompilation=false
}

# The monitor and the tool compiled to machine code ahead of time, for the tests: they start hundreds of them, and on a machine with few cores the
# compiler of the runtime would take most of its time. Where the compiler cannot be had they are started as they were built.
compile_ahead() {
  local project folder=$ROOT/artifacts/ahead log
  for project in Monitor Cli; do
    log=$(dotnet publish "$ROOT/src/RedisFailover.$project" -c Release --use-current-runtime --no-self-contained -p:PublishReadyToRun=true \
      -p:RunAnalyzers=false -p:NuGetAudit=false -o "$folder/RedisFailover.$project" -v quiet 2>&1) || {
      echo "compiled as they run, which takes longer: $(tail -n 1 <<<"$log")" >&2
      return 0
    }
  done
  export COMPILED_PROGRAMS=$folder
}

# ---- Processes, all of which end with the script ------------------------------------------------------------------------------

WORK=
PIDS=()

# A directory of our own, and a trap that ends everything that was started: at the end, on an error, on Ctrl-C.
begin_work() {
  WORK=$(mktemp -d "${TMPDIR:-/tmp}/redis-failover-${1}.XXXXXX")
  trap end_work EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
}

end_work() {
  local status=$? pid
  trap '' INT TERM HUP
  for pid in "${PIDS[@]}"; do
    kill -KILL "$pid" 2>/dev/null || true
  done
  # Nobody writes into the directory any more when it is removed.
  for pid in "${PIDS[@]}"; do
    while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
  done
  [[ -z $WORK ]] || rm -rf "$WORK"
  rm -f "${PORT_FILES[@]}"
  exit "$status"
}

# start NAME COMMAND...: in the background, output to $WORK/NAME.log; its pid is in $STARTED. The kernel kills it when this shell is
# killed by -9 and no trap runs.
start() {
  local name=$1 guard=()
  shift
  have setpriv && guard=(setpriv --pdeathsig KILL --)
  # A job of a shell without job control ignores Ctrl-C: the trap above is what ends it.
  "${guard[@]}" "$@" >>"$WORK/$name.log" 2>&1 </dev/null &
  STARTED=$!
  PIDS+=("$STARTED")
  disown "$STARTED"
}

# A port that nobody listens on and no other script is given, in $PORT. Below the range that outgoing connections take theirs from and
# above that of the tests. The claim is a lock on a file; the servers inherit it, and the kernel gives it back however they end.
PORT_FILES=()
free_port() {
  local file lock
  while :; do
    PORT=$((28000 + RANDOM % 4000))
    file=/tmp/redis-failover-port-$PORT
    { exec {lock}>>"$file"; } 2>/dev/null || continue
    # Whoever ended meanwhile may have removed the file that we hold: then another one may hold the next.
    if flock --nonblock "$lock" && [[ $file -ef /proc/self/fd/$lock ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
      PORT_FILES+=("$file")
      return 0
    fi
    exec {lock}>&-
  done
}

# wait_until SECONDS WHAT COMMAND...: again and again until the command succeeds.
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "timed out waiting for: $what" >&2
      show_logs
      exit 1
    fi
    sleep 0.02
  done
}

show_logs() {
  local log
  for log in "$WORK"/*.log; do
    [[ -e $log ]] && { echo "--- ${log##*/}" && tail -n 15 "$log"; } >&2
  done
}

# Microseconds since 1970, without starting a process.
now_us() { NOW=${EPOCHREALTIME/[.,]/}; }

SIMPLE_LOGGER=/usr/share/java/slf4j-simple.jar

# ---- ZooKeeper, Redis ---------------------------------------------------------------------------------------------------------

# start_zookeeper NAME PORT [line of zoo.cfg ...]
start_zookeeper() {
  local name=$1 port=$2 line
  shift 2
  mkdir -p "$WORK/$name"
  {
    printf '%s\n' "tickTime=500" "dataDir=$WORK/$name/data" "clientPort=$port" "clientPortAddress=127.0.0.1" \
      "4lw.commands.whitelist=*" "admin.enableServer=false" "maxClientCnxns=0"
    for line in "$@"; do echo "$line"; done
  } >"$WORK/$name/zoo.cfg"
  local classpath
  classpath=$(zookeeper_classpath)
  [[ ! -e $SIMPLE_LOGGER ]] || classpath+=:$SIMPLE_LOGGER
  start "$name" java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$classpath" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$WORK/$name/zoo.cfg"
}

# zookeeper_serves NAME PORT. In a shell of its own: a refused connection ends the shell that tries it. ZooKeeper 3.8 stops listening
# for good when it is asked while it loads its data, so its log is asked first.
zookeeper_serves() (
  [[ ! -e $SIMPLE_LOGGER ]] || grep -q "PrepRequestProcessor (sid:0) started" "$WORK/$1.log" || exit 1
  exec 3<>"/dev/tcp/127.0.0.1/$2"
  printf srvr >&3
  [[ $(timeout 2 cat <&3) == *Mode:* ]]
)

# start_redis NAME PORT [line of redis.conf ...]
start_redis() {
  local name=$1 port=$2 line
  shift 2
  mkdir -p "$WORK/$name"
  {
    printf '%s\n' "port $port" "bind 127.0.0.1" "dir $WORK/$name" "save \"\"" "repl-diskless-sync-delay 0"
    for line in "$@"; do echo "$line"; done
  } >"$WORK/$name/redis.conf"
  start "$name" "$(redis_server)" "$WORK/$name/redis.conf"
}

redis_answers() { [[ $(timeout 2 redis-cli -p "$1" ping 2>/dev/null) == PONG ]]; }

redis_follows() { # PORT MASTER_PORT
  local info
  info=$(timeout 2 redis-cli -p "$1" info replication 2>/dev/null)
  [[ $info == *role:slave* && $info == *"master_port:$2"* && $info == *master_link_status:up* ]]
}
