UPDATE affiliate_transactions t
SET click_id = n.click_id, user_id = n.user_id, merchant_id = coalesce(n.merchant_id, t.merchant_id), matched_by = n.matched_by,
    matched_at = now(), updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[]) AS n (id, click_id, user_id, merchant_id, matched_by)
WHERE t.id = n.id
