WITH subject AS (
    SELECT t.id, t.merchant_id, t.network, t.occurred_at, t.sale_paise FROM affiliate_transactions t WHERE t.id = $1
), candidates AS (
    SELECT c.id AS click_id, c.user_id, c.offer_id, c.clicked_at, c.merchant_id = s.merchant_id AS same_merchant,
           extract(epoch FROM s.occurred_at - c.clicked_at) / 3600.0 AS hours, s.sale_paise,
           EXISTS (SELECT FROM affiliate_transactions taken WHERE taken.click_id = c.id) AS is_taken,
           (SELECT avg(earlier.sale_paise) FROM affiliate_transactions earlier
            WHERE earlier.user_id = c.user_id AND earlier.merchant_id = c.merchant_id) AS usual_sale
    FROM subject s
    JOIN affiliate_clicks c ON c.network = s.network AND c.user_id IS NOT NULL
         AND c.id >= uuid_floor(s.occurred_at - interval '30 days') AND c.id < uuid_floor(s.occurred_at + interval '1 day')
         AND (s.merchant_id IS NULL OR c.merchant_id = s.merchant_id)
    JOIN users u ON u.id = c.user_id
    WHERE c.class IN ('human', 'duplicate', 'limited')
    ORDER BY abs(extract(epoch FROM s.occurred_at - c.clicked_at))
    LIMIT 200
), scored AS (
    SELECT *,
           -- Most purchases follow their click within the hour; half the points are gone after a day.
           (CASE WHEN hours < 0 THEN 5 ELSE 60 / (1 + hours / 24) END)::int AS time_points,
           CASE WHEN same_merchant THEN 25 ELSE 0 END AS merchant_points,
           (CASE WHEN sale_paise IS NULL OR usual_sale IS NULL OR usual_sale = 0 THEN 5
                 ELSE 10 * least(sale_paise, usual_sale) / greatest(sale_paise, usual_sale, 1) END
            + CASE WHEN is_taken THEN 0 ELSE 5 END)::int AS amount_points
    FROM candidates
)
SELECT click_id, user_id, offer_id, clicked_at, time_points, merchant_points, amount_points
FROM scored
ORDER BY time_points + merchant_points + amount_points DESC, clicked_at DESC
LIMIT $2
