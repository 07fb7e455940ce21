#!/usr/bin/env bash
# Installs redis-server and zookeeper from Debian's packages when they are missing (root, or sudo). No service is started.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
help_or_go_on "$@"
(($# == 0)) || wrong_usage "takes no arguments: $1"
install_dependencies
echo "redis-server: $("$(redis_server)" --version | cut -d' ' -f3); zookeeper: $(zookeeper_cli)"
