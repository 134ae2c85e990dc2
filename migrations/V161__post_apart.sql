-- Transfers of callers who know nothing of one another: each of a wallet of its own, nearly always new, posted together. Of
-- post_transfers four fifths of a small batch's time went into setting up: seven statements, sorts, sums by wallet. Where no wallet
-- and no key comes twice there is nothing to sort or sum, and one pass does it: the balances move, and each that moved is an entry.

-- All or nothing. Whatever is not plain is refused here and judged by post_transfer: a key that was used before (unique_violation),
-- too little money (wallet_not_overdrawn), a side that is no account, two shoppers, no shopper, or a wallet that stands twice (WA006).
-- Callers name the transfers in the order of the wallets' ids and look rows up by keys (plan_cache_mode and enable_* of their
-- connection), so that wallets are locked in that order.
CREATE FUNCTION post_apart(
    new_ids uuid[], debits uuid[], credits uuid[], amounts bigint[], kinds text[], keys text[], reasons jsonb[]
) RETURNS TABLE (entry_id uuid, balance_paise bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- The chain over the ledger counts on it: a writer is known as one before it draws its rows' numbers.
    writer xid8 := pg_current_xact_id();
    written bigint;
BEGIN
    RETURN QUERY
    WITH moved AS (
        UPDATE wallet_balances b
        SET balance_paise = b.balance_paise + CASE WHEN is_platform_account(r.debit) THEN r.amount ELSE -r.amount END,
            updated_at = now()
        FROM unnest(new_ids, debits, credits, amounts, kinds, keys, reasons) AS r (id, debit, credit, amount, kind, key, reason)
        WHERE b.account_id = CASE WHEN is_platform_account(r.debit) THEN r.credit ELSE r.debit END
          AND CASE WHEN is_platform_account(r.debit) THEN r.debit ELSE r.credit END
              = ANY (ARRAY(SELECT a.id FROM wallet_accounts a WHERE is_platform_account(a.id)))
        RETURNING r.*, b.account_id AS wallet, b.balance_paise AS balance_after
    )
    INSERT INTO wallet_transactions (id, debit_account, credit_account, amount_paise, kind, idempotency_key, input_hash,
                                     user_id, balance_after_paise, reason)
    SELECT id, debit, credit, amount, kind, key, transfer_hash(debit, credit, amount, kind), wallet, balance_after, reason
    FROM moved
    RETURNING id, balance_after_paise;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < cardinality(new_ids) THEN
        RAISE EXCEPTION 'not each transfer is between an account of ours and a wallet of its own' USING ERRCODE = 'WA006';
    END IF;
END
$$;
