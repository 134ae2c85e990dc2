-- A ledger entry that a function makes, such as request_withdrawal, says what it belongs to as well: whoever calls the function
-- names it for the transaction, by set_config('shop.correlation_id', …, true). Entries whose reason says it already are left alone.
CREATE FUNCTION correlate_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.reason := NEW.reason || jsonb_build_object('correlation_id', current_setting('shop.correlation_id'));
    RETURN NEW;
END
$$;
CREATE TRIGGER wallet_transactions_correlated BEFORE INSERT ON wallet_transactions FOR EACH ROW
    WHEN (coalesce(current_setting('shop.correlation_id', true), '') <> '' AND NOT NEW.reason ? 'correlation_id')
    EXECUTE FUNCTION correlate_entry();
