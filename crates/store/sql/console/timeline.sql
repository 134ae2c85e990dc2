-- What somebody asks for: an id, or a correlation id and with it what its messages and webhooks are about.
WITH heard AS (
    SELECT id FROM webhook_logs WHERE correlation_id = $1::text AND verdict <> 'rejected' ORDER BY id DESC LIMIT 50
), told AS (
    -- The key of a message names what it is about: cashback:<id>:tracked, order:<id>:paid.
    SELECT id, substring(event_key FROM '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')::uuid AS subject
    FROM notifications WHERE correlation_id = $1 ORDER BY id DESC LIMIT 50
), wanted AS (
    SELECT $2::uuid AS id WHERE $2::uuid IS NOT NULL
    UNION SELECT subject FROM told WHERE subject IS NOT NULL
), wanted_names AS (
    SELECT $1::text AS name
    UNION SELECT about FROM webhook_effects WHERE about IS NOT NULL AND webhook_id = ANY (ARRAY(SELECT id FROM heard UNION SELECT $2::uuid))
), shopper AS (
    SELECT id FROM users WHERE id = $2 OR lower(email) = lower($1) OR mobile = $1
), bought AS (
    SELECT id FROM affiliate_transactions WHERE id = ANY (ARRAY(SELECT id FROM wanted))
    UNION SELECT id FROM affiliate_transactions WHERE click_id = $2
    UNION SELECT id FROM affiliate_transactions WHERE claimed_click_id = $2 AND click_id IS NULL
    UNION SELECT id FROM affiliate_transactions
          WHERE network IN ('admitad', 'vcommission', 'cuelinks')
                AND external_transaction_id = ANY (ARRAY(SELECT name FROM wanted_names))
    UNION SELECT id FROM affiliate_transactions
          WHERE merchant_id = ANY (ARRAY(SELECT id FROM merchants)) AND external_order_id = $1
    UNION SELECT transaction_id FROM cashback_events WHERE id = ANY (ARRAY(SELECT id FROM wanted))
    UNION (SELECT transaction_id FROM cashback_events WHERE user_id IN (SELECT id FROM shopper) ORDER BY occurred_at DESC LIMIT 50)
), clicked AS (
    SELECT $2::uuid AS id WHERE $2::uuid IS NOT NULL
    UNION SELECT click_id FROM affiliate_transactions WHERE id IN (SELECT id FROM bought) AND click_id IS NOT NULL
    UNION (SELECT id FROM affiliate_clicks WHERE user_id IN (SELECT id FROM shopper) ORDER BY id DESC LIMIT 50)
), earned AS (
    SELECT id, user_id FROM cashback_events WHERE transaction_id IN (SELECT id FROM bought)
), ordered AS (
    SELECT id FROM orders WHERE id = ANY (ARRAY(SELECT id FROM wanted)) OR provider_order_id = ANY (ARRAY(SELECT name FROM wanted_names))
    UNION SELECT order_id FROM payments WHERE id = $2 OR provider_payment_id = ANY (ARRAY(SELECT name FROM wanted_names))
    UNION (SELECT id FROM orders WHERE user_id IN (SELECT id FROM shopper) ORDER BY created_at DESC LIMIT 50)
), taken AS (
    SELECT id FROM withdrawals WHERE id = ANY (ARRAY(SELECT id FROM wanted)) OR payout_id = ANY (ARRAY(SELECT name FROM wanted_names))
    UNION (SELECT id FROM withdrawals WHERE user_id IN (SELECT id FROM shopper) ORDER BY requested_at DESC LIMIT 50)
), concerned AS (
    SELECT id FROM shopper
    UNION SELECT user_id FROM earned
    UNION SELECT user_id FROM orders WHERE id IN (SELECT id FROM ordered)
    UNION SELECT user_id FROM withdrawals WHERE id IN (SELECT id FROM taken)
), names AS (
    -- What webhooks call all this.
    SELECT name FROM wanted_names
    UNION SELECT external_transaction_id FROM affiliate_transactions WHERE id IN (SELECT id FROM bought)
    UNION SELECT encode(uuid_send(id), 'hex') FROM clicked
    UNION SELECT provider_order_id FROM orders WHERE id IN (SELECT id FROM ordered)
    UNION SELECT provider_payment_id FROM payments WHERE order_id IN (SELECT id FROM ordered)
    UNION SELECT payout_id FROM withdrawals WHERE id IN (SELECT id FROM taken)
), moments AS (
    SELECT c.clicked_at AS at, 'click' AS kind, c.id, c.class AS status,
           coalesce(m.name, c.merchant_id::text) || ' by ' || c.network AS detail, NULL::bigint AS amount, NULL::bigint AS balance,
           c.user_id
    FROM affiliate_clicks c LEFT JOIN merchants m ON m.id = c.merchant_id WHERE c.id IN (SELECT id FROM clicked)
    UNION ALL
    SELECT h.recorded_at, 'transaction', t.id, h.status, t.network || ' ' || t.external_transaction_id || ': ' || h.raw_status
           || ', from ' || h.source, h.commission_paise, NULL, t.user_id
    FROM affiliate_transaction_history h JOIN affiliate_transactions t ON t.id = h.transaction_id
    WHERE t.id IN (SELECT id FROM bought)
    UNION ALL
    SELECT h.recorded_at, 'cashback', h.cashback_id, h.status, h.cause, h.amount_paise, NULL, e.user_id
    FROM cashback_history h JOIN earned e ON e.id = h.cashback_id
    UNION ALL
    SELECT w.created_at, 'ledger', w.id, w.kind, '', CASE WHEN w.credit_account = w.user_id THEN w.amount_paise ELSE -w.amount_paise END,
           w.balance_after_paise, w.user_id
    FROM wallet_transactions w
    WHERE w.id IN (SELECT h.wallet_transaction_id FROM cashback_history h WHERE h.cashback_id IN (SELECT id FROM earned)
                   UNION SELECT o.id FROM wallet_transactions o
                         WHERE o.idempotency_key = ANY (ARRAY(SELECT 'withdrawal:' || id || ':' || step FROM taken,
                                                              unnest(ARRAY['requested', 'withdrawal_return']) AS step))
                   UNION SELECT l.id FROM shopper s
                         CROSS JOIN LATERAL (SELECT id FROM wallet_transactions WHERE user_id = s.id ORDER BY seq DESC LIMIT 50) l
                   UNION SELECT $2)
          AND w.user_id IS NOT NULL
    UNION ALL
    SELECT o.created_at, 'order', o.id, o.status, o.provider_order_id, o.total_paise, NULL, o.user_id
    FROM orders o WHERE o.id IN (SELECT id FROM ordered)
    UNION ALL
    SELECT p.updated_at, 'payment', p.id, p.status, p.provider_payment_id, p.amount_paise, NULL, o.user_id
    FROM payments p JOIN orders o ON o.id = p.order_id WHERE o.id IN (SELECT id FROM ordered)
    UNION ALL
    SELECT w.requested_at, 'withdrawal', w.id, w.status, coalesce(w.payout_id, 'no payout yet'), w.amount_paise, NULL, w.user_id
    FROM withdrawals w WHERE w.id IN (SELECT id FROM taken)
    UNION ALL
    SELECT n.created_at, 'message', n.id, n.status, n.channel || ' ' || n.template || ' to ' || n.recipient, NULL, NULL, n.user_id
    FROM notifications n
    WHERE n.id IN (SELECT $2 UNION SELECT id FROM told UNION SELECT id FROM notifications WHERE provider_message_id = $1
                   UNION SELECT id FROM notifications WHERE event_key = $1
                   UNION SELECT l.id FROM concerned c
                         CROSS JOIN LATERAL (SELECT id, event_key FROM notifications WHERE user_id = c.id
                                             ORDER BY created_at DESC LIMIT 50) l
                         WHERE c.id IN (SELECT id FROM shopper)
                            OR EXISTS (SELECT FROM (SELECT id FROM earned UNION SELECT id FROM bought UNION SELECT id FROM ordered
                                                    UNION SELECT id FROM taken) s
                                       WHERE position(s.id::text IN l.event_key) > 0))
    UNION ALL
    SELECT a.at, 'deed', a.id, a.action, a.actor || ': ' || a.reason, NULL, NULL, NULL
    FROM audit_logs a
    WHERE a.id IN (SELECT $2
                   UNION SELECT d.id FROM (SELECT 'user:' || id AS target FROM shopper UNION SELECT 'transaction:' || id FROM bought
                                           UNION SELECT 'webhook:' || $2::text) t
                         CROSS JOIN LATERAL (SELECT id FROM audit_logs WHERE target = t.target AND target <> ''
                                             ORDER BY id DESC LIMIT 50) d)
    UNION ALL
    SELECT l.received_at, 'webhook', l.id, l.verdict, l.source || ' ' || l.event, NULL, NULL, NULL
    FROM webhook_logs l
    WHERE l.id IN (SELECT $2 UNION SELECT id FROM heard
                   UNION SELECT webhook_id FROM webhook_effects WHERE about = ANY (ARRAY(SELECT name FROM names WHERE name IS NOT NULL))
                   UNION SELECT webhook_id FROM webhook_receipts
                         WHERE source IN ('razorpay', 'razorpayx', 'admitad', 'vcommission', 'cuelinks', 'sendgrid', 'msg91')
                           AND event_id = $1)
)
SELECT at, kind, id, status, detail, amount, balance, user_id FROM moments
-- Of one commit, what happened comes before what it booked.
ORDER BY at, kind = 'ledger' LIMIT 500
