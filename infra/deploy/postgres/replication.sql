-- Makes a primary ready for one replica; running it again changes nothing.
-- psql variables: replication_user, replication_password, slot.
SELECT format('CREATE ROLE %I REPLICATION LOGIN PASSWORD %L', :'replication_user', :'replication_password')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'replication_user') \gexec

SELECT pg_create_physical_replication_slot(:'slot', true)
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = :'slot');
