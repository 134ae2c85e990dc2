UPDATE offers SET active = false WHERE active AND expires_at <= $1 RETURNING id
