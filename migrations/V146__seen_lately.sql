-- "What came in the last days, and how much of it has its click?", asked every half minute by what watches the shop. Rows come in
-- the order of their time, so a few pages of summaries are enough.
CREATE INDEX affiliate_transactions_seen ON affiliate_transactions USING brin (first_seen_at) WITH (pages_per_range = 16);
