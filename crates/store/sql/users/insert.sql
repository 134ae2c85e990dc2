INSERT INTO users (id, name, email, mobile, lang) VALUES ($1, $2, $3, $4, $5)
