SELECT count(*) FROM wallet_drifts WHERE ended_at IS NULL
