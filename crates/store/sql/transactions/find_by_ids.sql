SELECT id, network, external_transaction_id, claimed_click_id, sub_id, click_id, user_id, merchant_id, matched_by, campaign_id,
       external_order_id, sale_paise, commission_paise, currency, fx_rate::text, raw_status, status, funded, occurred_at,
       status_updated_at, observed_at, revision
FROM affiliate_transactions WHERE id = ANY ($1)
