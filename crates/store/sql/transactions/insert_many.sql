INSERT INTO affiliate_transactions (
    network, matched_at, id, external_transaction_id, claimed_click_id, sub_id, click_id, user_id, merchant_id, matched_by,
    campaign_id, external_order_id, sale_paise, commission_paise, currency, original_sale, original_commission, fx_rate,
    raw_status, status, funded, decline_reason, occurred_at, status_updated_at, observed_at, revision, raw)
SELECT $1, CASE WHEN n.click_id IS NOT NULL THEN now() END, n.id, n.external_transaction_id, n.claimed_click_id, n.sub_id,
       n.click_id, n.user_id, n.merchant_id, n.matched_by, n.campaign_id, n.external_order_id, n.sale_paise, n.commission_paise,
       n.currency, n.original_sale::numeric, n.original_commission::numeric, n.fx_rate::numeric, n.raw_status, n.status,
       n.funded, n.decline_reason, n.occurred_at, n.status_updated_at, n.observed_at, n.revision, n.raw::json
FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::text[],
            $11::text[], $12::bigint[], $13::bigint[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
            $19::text[], $20::boolean[], $21::text[], $22::timestamptz[], $23::timestamptz[], $24::timestamptz[], $25::int[],
            $26::text[])
     AS n (id, external_transaction_id, claimed_click_id, sub_id, click_id, user_id, merchant_id, matched_by, campaign_id,
           external_order_id, sale_paise, commission_paise, currency, original_sale, original_commission, fx_rate, raw_status,
           status, funded, decline_reason, occurred_at, status_updated_at, observed_at, revision, raw)
