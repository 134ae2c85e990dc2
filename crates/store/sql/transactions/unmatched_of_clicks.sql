SELECT network, id FROM affiliate_transactions WHERE claimed_click_id = ANY ($1) AND click_id IS NULL
