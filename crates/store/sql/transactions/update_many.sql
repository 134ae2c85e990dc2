UPDATE affiliate_transactions t
SET matched_at = CASE WHEN n.click_id IS NOT NULL THEN coalesce(t.matched_at, now()) END, claimed_click_id = n.claimed_click_id,
    sub_id = n.sub_id, click_id = n.click_id, user_id = n.user_id, merchant_id = n.merchant_id, matched_by = n.matched_by,
    campaign_id = n.campaign_id, external_order_id = n.external_order_id, sale_paise = n.sale_paise,
    commission_paise = n.commission_paise, currency = n.currency, original_sale = n.original_sale::numeric,
    original_commission = n.original_commission::numeric, fx_rate = n.fx_rate::numeric, raw_status = n.raw_status,
    status = n.status, funded = n.funded, decline_reason = n.decline_reason, occurred_at = n.occurred_at,
    status_updated_at = n.status_updated_at, observed_at = n.observed_at, revision = n.revision, raw = n.raw::json,
    updated_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::text[],
            $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
            $18::boolean[], $19::text[], $20::timestamptz[], $21::timestamptz[], $22::timestamptz[], $23::int[], $24::text[])
     AS n (id, claimed_click_id, sub_id, click_id, user_id, merchant_id, matched_by, campaign_id, external_order_id, sale_paise,
           commission_paise, currency, original_sale, original_commission, fx_rate, raw_status, status, funded, decline_reason,
           occurred_at, status_updated_at, observed_at, revision, raw)
WHERE t.id = n.id
