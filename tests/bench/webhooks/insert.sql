INSERT INTO peer_webhooks (id, source, event_id, event, body, body_sha256, headers, received_at)
SELECT new.id, 'razorpay', 'evt' || new.id, 'payment.authorized', convert_to(repeat('0123456789abcde', 100), 'UTF8'),
       sha256(uuid_send(new.id)), '{"content-type": "application/json"}', now()
FROM (SELECT gen_random_uuid() AS id) AS new
ON CONFLICT (source, event_id) DO NOTHING;
