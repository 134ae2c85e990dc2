-- Whoever inserts holds this lock from before its number is drawn until its transaction ends. Its transaction's id would not do: it
-- is drawn after the number.
SELECT coalesce(array_agg(virtualtransaction), '{}')
FROM pg_locks
WHERE locktype = 'relation' AND relation = 'wallet_transactions'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
