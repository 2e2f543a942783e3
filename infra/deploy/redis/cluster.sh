#!/bin/sh
# cluster.sh <host…>: makes one cluster of these nodes, three masters and a replica of each, unless one of
# them is in a cluster already: nodes remember who they are, and find each other again.
set -eu
info() { redis-cli -h "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"; }
for host in "$@"; do
  if [ "$(info "$host" cluster_slots_assigned)" != 0 ]; then
    echo "there is a cluster already"
    exit 0
  fi
done
nodes=
for host in "$@"; do
  nodes="$nodes $(getent hosts "$host" | cut -d' ' -f1):6379"
done
# shellcheck disable=SC2086 # one word for each node
redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
until [ "$(info "$1" cluster_state)" = ok ]; do sleep 1; done
