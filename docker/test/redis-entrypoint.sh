#!/bin/sh
# As the official image does: what begins with a dash goes to redis-server.
case "${1:-}" in -*) set -- redis-server "$@" ;; esac
exec "$@"
