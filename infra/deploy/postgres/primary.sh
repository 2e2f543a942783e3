#!/bin/sh
# Runs once, when the primary's data folder is made: lets a replica in, and keeps for it what it needs.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
  --set=replication_user="$REPLICATION_USER" --set=replication_password="$REPLICATION_PASSWORD" \
  --set=slot=replica_1 --file=/etc/shutterlog/replication.sql
echo "host replication $REPLICATION_USER samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
