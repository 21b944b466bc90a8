# Creates Temporal's two databases where they are missing, and brings their schema to the version of this image. Each command
# finds what an earlier run has done.
set -eu
SQL_PASSWORD=$(cat /run/secrets/postgresql-password)
export SQL_PASSWORD
for database in temporal:temporal temporal_visibility:visibility; do
  SQL_DATABASE=${database%%:*}
  export SQL_DATABASE
  schema=/etc/temporal/schema/postgresql/v12/${database##*:}/versioned
  temporal-sql-tool create-database
  temporal-sql-tool setup-schema --version 0.0
  temporal-sql-tool update-schema --schema-dir "$schema"
done
