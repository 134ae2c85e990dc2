//! One record on disk: its length and its CRC-32, both little-endian, then its bytes.

/// How much longer a record is on disk.
pub(super) const OVERHEAD: usize = 8;
/// No click is longer; a length beyond this is damage.
const MAX_RECORD: usize = 64 * 1024;

/// Appends a framed record.
pub(super) fn write(record: &[u8], into: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    into.extend_from_slice(record);
}

/// The record at the front, and what follows it. `None` at a clean end, at a torn or at a damaged record: the caller
/// sees by the rest whether it was the end.
pub(super) fn read(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_RECORD)?;
    let (record, rest) = rest.split_at_checked(length)?;
    (crc32fast::hash(record) == u32::from_le_bytes(*checksum)).then_some((record, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back_in_order_and_a_torn_end_takes_only_the_last(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20), cut in 1_usize..8,
        ) {
            let mut bytes = Vec::new();
            for record in &records {
                write(record, &mut bytes);
            }
            let read_all = |mut bytes: &[u8]| {
                let mut found = Vec::new();
                while let Some((record, rest)) = read(bytes) {
                    found.push(record.to_vec());
                    bytes = rest;
                }
                (found, bytes.len())
            };
            prop_assert_eq!(read_all(&bytes), (records.clone(), 0));
            let (found, left) = read_all(&bytes[..bytes.len() - cut]);
            prop_assert_eq!(found, &records[..records.len() - 1]);
            prop_assert!(left > 0);
        }

        #[test]
        fn a_changed_byte_is_noticed(record in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = Vec::new();
            write(&record, &mut bytes);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
