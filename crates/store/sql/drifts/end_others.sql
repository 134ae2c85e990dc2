UPDATE wallet_drifts SET ended_at = now() WHERE ended_at IS NULL AND user_id <> ALL ($1::uuid[]) RETURNING user_id
