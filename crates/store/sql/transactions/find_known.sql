-- Each by its whole key. As `= ANY`, in a plan made while there were few, every page read all that the network had ever said.
SELECT t.*
FROM unnest($2::text[]) AS wanted (external_id)
CROSS JOIN LATERAL (
    SELECT id, network, external_transaction_id, claimed_click_id, sub_id, click_id, user_id, merchant_id, matched_by, campaign_id,
           external_order_id, sale_paise, commission_paise, currency, fx_rate::text, raw_status, status, funded, occurred_at,
           status_updated_at, observed_at, revision
    FROM affiliate_transactions
    WHERE network = $1 AND external_transaction_id = wanted.external_id
    LIMIT 1
) AS t
