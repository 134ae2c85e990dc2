-- Every row of the ledger is held to the check of V120, those of before too. Writers go on meanwhile.
ALTER TABLE wallet_transactions VALIDATE CONSTRAINT wallet_entry_is_sound;
