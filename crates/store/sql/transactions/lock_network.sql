SELECT pg_advisory_xact_lock(hashtext('settle'), hashtext($1))
