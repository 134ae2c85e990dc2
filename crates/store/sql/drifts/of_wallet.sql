SELECT wallet_drift($1)
