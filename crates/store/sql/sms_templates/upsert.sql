INSERT INTO sms_templates (template, lang, dlt_template_id, entity_id, sender_id, category, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (template, lang) DO UPDATE
SET dlt_template_id = excluded.dlt_template_id, entity_id = excluded.entity_id, sender_id = excluded.sender_id,
    category = excluded.category, body = excluded.body, updated_at = now()
