SELECT date_trunc('minute', clicked_at) AS minute, class, count(*)
FROM affiliate_clicks
WHERE id >= uuid_floor($1) AND clicked_at >= $1
GROUP BY minute, class
ORDER BY minute, class
