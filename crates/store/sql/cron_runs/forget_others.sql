DELETE FROM cron_jobs WHERE job <> ALL ($1)
