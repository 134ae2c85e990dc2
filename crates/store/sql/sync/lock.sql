SELECT pg_try_advisory_lock(hashtext('pull'), hashtext($1))
