SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('wallet_transactions', 'seq')::regclass), 0)
