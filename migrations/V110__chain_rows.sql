-- What each block of the ledger's chain was made of, so that a fault can be told by its row and not only by its block.
-- NULL in blocks of before.
ALTER TABLE wallet_seals
    ADD COLUMN row_seqs bigint[],
    ADD COLUMN row_ids uuid[],
    -- One sha256 a row, in order: what the block's own hash is made of.
    ADD COLUMN row_digests bytea,
    ADD CONSTRAINT wallet_seals_rows_are_whole CHECK (
        (row_seqs IS NULL AND row_ids IS NULL AND row_digests IS NULL)
        OR (cardinality(row_seqs) = row_count AND cardinality(row_ids) = row_count AND length(row_digests) = 32 * row_count));
-- Digests do not compress.
ALTER TABLE wallet_seals ALTER COLUMN row_digests SET STORAGE EXTERNAL;
