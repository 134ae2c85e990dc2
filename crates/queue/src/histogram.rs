//! Durations counted in buckets that grow by half an octave: good to a quarter, in sixty numbers.

/// The bucket of a duration in microseconds: two for each power of two.
pub(crate) fn bucket(micros: u64) -> u8 {
    let micros = micros.max(1);
    let octave = micros.ilog2();
    let upper_half = octave > 0 && micros >> (octave - 1) & 1 == 1;
    u8::try_from(octave * 2 + u32::from(upper_half)).unwrap_or(u8::MAX)
}

/// The largest duration of a bucket, in microseconds.
pub(crate) fn upper(bucket: u8) -> u64 {
    let octave = u32::from(bucket / 2).min(62);
    let power = 1_u64 << octave;
    if bucket.is_multiple_of(2) { power + power / 2 } else { power * 2 }
}

/// The duration, in microseconds, below which `percent` of what was counted lies; `None` when nothing was counted.
pub(crate) fn quantile(counts: &[(u8, u64)], percent: u64) -> Option<u64> {
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let wanted = total.checked_mul(percent)?.div_ceil(100).max(1);
    let mut seen = 0;
    counts.iter().find_map(|(bucket, count)| {
        seen += count;
        (seen >= wanted).then(|| upper(*bucket))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_below_its_upper_end_and_not_far_below() {
        for micros in (1..100_000).chain([1 << 40, (1 << 40) + (1 << 39)]) {
            let top = upper(bucket(micros));
            assert!(micros <= top && top <= micros.saturating_mul(2).max(2), "{micros} in {top}");
        }
    }

    #[test]
    fn quantiles_are_found() {
        assert_eq!(quantile(&[], 50), None);
        let counts = [(bucket(100), 99), (bucket(10_000), 1)];
        assert_eq!(quantile(&counts, 50), Some(upper(bucket(100))));
        assert_eq!(quantile(&counts, 100), Some(upper(bucket(10_000))));
    }
}
