SELECT EXISTS (SELECT FROM webhook_receipts WHERE source = $1 AND event_id = $2 AND body_sha256 <> $3)
