SELECT template, lang, dlt_template_id, entity_id, sender_id, category, body FROM sms_templates ORDER BY template, lang
