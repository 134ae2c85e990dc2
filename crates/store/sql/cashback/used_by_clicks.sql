SELECT click_id, sum(amount_paise)::bigint FROM cashback_events
WHERE click_id = ANY ($1) AND status NOT IN ('declined', 'reversed') GROUP BY click_id
