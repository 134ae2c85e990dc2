SELECT campaign_id, id FROM merchants WHERE network = $1 AND campaign_id = ANY ($2)
