#!/bin/sh
# replica.sh <primary> <slot> <command…>: copies the primary once, then becomes the server that follows it.
# The copy is made beside its place, so that one which was cut short is made again.
set -eu
primary=$1 slot=$2
shift 2
export PGDATA=/var/lib/postgresql/data/replica
if [ ! -d "$PGDATA" ]; then
  rm -rf "$PGDATA.new"
  pg_basebackup --pgdata="$PGDATA.new" --write-recovery-conf --slot="$slot" --checkpoint=fast \
    --dbname="host=$primary user=$REPLICATION_USER password=$REPLICATION_PASSWORD"
  chmod 700 "$PGDATA.new"
  mv "$PGDATA.new" "$PGDATA"
fi
exec "$@"
