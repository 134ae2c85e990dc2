WITH found AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[]) AS f (id, user_id, balance_paise, entries_paise)
), frozen AS (
    UPDATE users SET frozen_at = now() FROM found WHERE users.id = found.user_id AND users.frozen_at IS NULL
    RETURNING users.id
)
INSERT INTO wallet_drifts AS d (id, user_id, balance_paise, entries_paise, froze)
SELECT id, user_id, balance_paise, entries_paise, user_id IN (SELECT frozen.id FROM frozen) FROM found ORDER BY user_id
ON CONFLICT (user_id) WHERE ended_at IS NULL DO UPDATE
SET balance_paise = excluded.balance_paise, entries_paise = excluded.entries_paise, seen_at = now(), froze = d.froze OR excluded.froze
