-- Products as those who deliver them call them, and what came of the feeds that tell how many there are.

ALTER TABLE products ADD COLUMN sku text CHECK (sku <> '' AND length(sku) <= 100);
CREATE UNIQUE INDEX products_sku ON products (sku) WHERE sku IS NOT NULL;

CREATE TABLE inventory_feeds (
    source    text PRIMARY KEY CHECK (source <> ''),
    -- The last time it was read and believed, and how many rows it had.
    read_at   timestamptz,
    rows      int NOT NULL DEFAULT 0,
    -- The last time it was not, and why.
    failed_at timestamptz,
    error     text
);
