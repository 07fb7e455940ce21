#!/bin/bash
# The part of the official image's variables that docker-compose.zk.yml and the tests use.
set -euo pipefail
mkdir -p /data /datalog
echo "${ZOO_MY_ID:-1}" >/data/myid
{
  echo "tickTime=${ZOO_TICK_TIME:-2000}"
  echo "initLimit=${ZOO_INIT_LIMIT:-5}"
  echo "syncLimit=${ZOO_SYNC_LIMIT:-2}"
  echo "dataDir=/data"
  echo "dataLogDir=/datalog"
  echo "maxClientCnxns=0"
  echo "admin.enableServer=false"
  echo "4lw.commands.whitelist=${ZOO_4LW_COMMANDS_WHITELIST:-srvr}"
  echo "autopurge.purgeInterval=${ZOO_AUTOPURGE_PURGEINTERVAL:-0}"
  if [[ -n ${ZOO_SERVERS:-} ]]; then
    echo "standaloneEnabled=false"
    tr ' ' '\n' <<<"$ZOO_SERVERS"
  else
    echo "clientPort=2181"
  fi
} >/tmp/zoo.cfg
exec java -Xmx128m -cp /usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar org.apache.zookeeper.server.quorum.QuorumPeerMain /tmp/zoo.cfg
