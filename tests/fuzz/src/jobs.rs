//! Jobs on lists.

use queue::Envelope;

/// What is read can be written, and is then read as the same.
pub fn envelope(data: &[u8]) {
    let Ok(envelope) = Envelope::parse(data) else { return };
    let written = envelope.to_bytes().expect("what was read can be written");
    let again = Envelope::parse(&written).expect("what was written can be read");
    assert_eq!((again.id, &again.kind, again.payload.get()), (envelope.id, &envelope.kind, envelope.payload.get()));
    assert_eq!((again.v, again.attempt, again.max_attempts), (envelope.v, envelope.attempt, envelope.max_attempts));
    assert_eq!(
        (again.enqueued_at, again.not_before, again.not_after),
        (envelope.enqueued_at, envelope.not_before, envelope.not_after)
    );
    assert_eq!((&again.dedupe_key, &again.correlation_id), (&envelope.dedupe_key, &envelope.correlation_id));
    assert_eq!(
        (again.traceparent, again.failures, again.replays),
        (envelope.traceparent, envelope.failures, envelope.replays)
    );
}
