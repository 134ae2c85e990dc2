-- Every table that grows with the business gets rows enough for the planner to care, whatever they mean: checks and triggers are
-- off, values are made from their types.
SET session_replication_role = replica;
DO $$
DECLARE
    grown text;
    checked record;
    columns text;
    expressions text;
BEGIN
    FOREACH grown IN ARRAY string_to_array(current_setting('plans.tables'), ' ') LOOP
        FOR checked IN SELECT conname FROM pg_constraint WHERE conrelid = grown::regclass AND contype = 'c' LOOP
            EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I', grown, checked.conname);
        END LOOP;
        SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position),
               string_agg(
                   CASE
                       WHEN is_nullable = 'YES' AND data_type IN ('timestamp with time zone', 'text') THEN
                           format('CASE WHEN n %% 50 > 0 THEN %s END',
                                  CASE data_type WHEN 'text' THEN '''text '' || n' ELSE 'now() - n * interval ''20 seconds''' END)
                       WHEN column_name IN ('status', 'class', 'kind', 'channel', 'category', 'source', 'verdict', 'queue', 'template', 'lang', 'network', 'provider') THEN
                           '(ARRAY[''one'', ''two'', ''three''])[n % 3 + 1]'
                       -- UUIDv7, as partitions are by the time in them.
                       WHEN column_name = 'id' AND data_type = 'uuid' THEN
                           'overlay(overlay(gen_random_uuid()::text placing ''7'' from 15) placing regexp_replace('
                           || 'lpad(to_hex((extract(epoch from now() - n * interval ''20 seconds'') * 1000)::bigint), 12, ''0''), '
                           || '''(.{8})'', ''\1-'') from 1 for 13)::uuid'
                       WHEN data_type = 'uuid' THEN 'gen_random_uuid()'
                       WHEN data_type = 'text' THEN '''text '' || n'
                       WHEN data_type IN ('bigint', 'integer', 'numeric') THEN 'n'
                       WHEN data_type = 'smallint' THEN '(n % 100)::smallint'
                       WHEN data_type = 'boolean' THEN 'n % 2 = 0'
                       WHEN data_type = 'timestamp with time zone' THEN 'now() - n * interval ''20 seconds'''
                       WHEN data_type = 'date' THEN 'current_date - n % 300'
                       WHEN data_type IN ('json', 'jsonb') THEN format('''{}''::%s', data_type)
                       WHEN data_type = 'ARRAY' THEN '''{}'''
                       WHEN data_type = 'bytea' THEN 'sha256(n::text::bytea)'
                       WHEN data_type = 'inet' THEN '''127.0.0.1''::inet'
                       WHEN data_type = 'double precision' THEN 'n'
                       ELSE format('NULL::%s', udt_name)
                   END, ', ' ORDER BY ordinal_position)
        INTO columns, expressions
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = grown AND is_generated = 'NEVER';
        EXECUTE format('INSERT INTO %I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM generate_series(1, %s) AS n',
                       grown, columns, expressions, current_setting('plans.rows'));
    END LOOP;
END
$$;
ANALYZE;
