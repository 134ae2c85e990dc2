SELECT NOT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'relation' AND relation = 'wallet_transactions'::regclass AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND virtualtransaction = ANY ($1))
