WITH released AS (
    UPDATE cashback_events SET status = 'payable', revision = revision + 1, updated_at = now()
    WHERE id = ANY ($1) AND status = 'confirmed' AND funded AND held_until <= $2
    RETURNING id, revision, amount_paise
)
INSERT INTO cashback_history (cashback_id, revision, status_before, status, amount_before_paise, amount_paise, cause)
SELECT id, revision, 'confirmed', 'payable', amount_paise, amount_paise, 'holding period over' FROM released
