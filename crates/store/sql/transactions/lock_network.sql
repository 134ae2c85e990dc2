-- What follows in this transaction looks rows up by their keys, a page at a time. A plan that a connection made while the
-- tables were small would read them from end to end for ever after; compiling such a plan would cost more than running it.
SELECT pg_advisory_xact_lock(hashtext('settle'), hashtext($1)), set_config('enable_seqscan', 'off', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)
