#!/bin/sh
# First start only: a role that reads and never writes, for the redirector.
set -eu
psql -v ON_ERROR_STOP=1 -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v password="$(cat /run/secrets/postgres_reader_password)" <<'SQL'
CREATE ROLE shop_reader LOGIN PASSWORD :'password';
GRANT CONNECT ON DATABASE :DBNAME TO shop_reader;
GRANT USAGE ON SCHEMA public TO shop_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO shop_reader;
ALTER ROLE shop_reader SET default_transaction_read_only = on;
SQL
