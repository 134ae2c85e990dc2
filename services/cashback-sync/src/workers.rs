//! What is done with each kind of job.

pub(crate) mod clicks;
pub(crate) mod hints;
pub(crate) mod matches;
pub(crate) mod pulls;

use std::time::Duration;

/// How long a job waits when Postgres is not there. No attempt is used up: an outage must not bury a click.
const POSTGRES_PAUSE: Duration = Duration::from_secs(2);
