//! How a text is encoded and in how many parts it is billed.

/// The letters that a phone writes in seven bits (GSM 03.38).
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Letters that take two places.
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// How a text travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Seven bits a letter.
    Gsm7,
    /// Sixteen bits a letter: one letter outside of [`BASIC`] is enough.
    Ucs2,
}

/// The size of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) encoding: Encoding,
    /// Places used, not letters.
    pub(crate) units: usize,
    /// Parts that are billed.
    pub(crate) parts: i16,
}

/// The first letter that a phone cannot write in seven bits.
pub(crate) fn first_outside_gsm7(text: &str) -> Option<char> {
    text.chars().find(|c| !BASIC.contains(*c) && !EXTENDED.contains(*c))
}

/// Measures a text. A letter of two places is not split over two parts, which can cost a place at the end of each.
pub(crate) fn measure(text: &str) -> Size {
    if first_outside_gsm7(text).is_some() {
        return parts_of(Encoding::Ucs2, text.chars().map(char::len_utf16), 70, 67);
    }
    let places = text.chars().map(|c| if EXTENDED.contains(c) { 2 } else { 1 });
    parts_of(Encoding::Gsm7, places, 160, 153)
}

fn parts_of(encoding: Encoding, places: impl Iterator<Item = usize> + Clone, alone: usize, each: usize) -> Size {
    let units: usize = places.clone().sum();
    if units <= alone {
        return Size { encoding, units, parts: 1 };
    }
    let (mut parts, mut used) = (1_i16, 0);
    for place in places {
        if used + place > each {
            parts = parts.saturating_add(1);
            used = 0;
        }
        used += place;
    }
    Size { encoding, units, parts }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(text: &str) -> (Encoding, usize, i16) {
        let size = measure(text);
        (size.encoding, size.units, size.parts)
    }

    #[test]
    fn parts_end_where_carriers_say() {
        assert_eq!(size(&"a".repeat(160)), (Encoding::Gsm7, 160, 1));
        assert_eq!(size(&"a".repeat(161)), (Encoding::Gsm7, 161, 2));
        assert_eq!(size(&"a".repeat(306)), (Encoding::Gsm7, 306, 2));
        assert_eq!(size(&"a".repeat(307)), (Encoding::Gsm7, 307, 3));
        assert_eq!(size(&"न".repeat(70)), (Encoding::Ucs2, 70, 1));
        assert_eq!(size(&"न".repeat(71)), (Encoding::Ucs2, 71, 2));
        assert_eq!(size(&"न".repeat(135)), (Encoding::Ucs2, 135, 3));
        assert_eq!(size("₹250"), (Encoding::Ucs2, 4, 1));
        assert_eq!(size("[a]"), (Encoding::Gsm7, 5, 1));
        assert_eq!(size("😀"), (Encoding::Ucs2, 2, 1));
        // 152 letters and a bracket that needs two places: it moves to the second part.
        assert_eq!(size(&format!("{}[{}", "a".repeat(152), "a".repeat(152))), (Encoding::Gsm7, 306, 3));
        assert_eq!(size(""), (Encoding::Gsm7, 0, 1));
    }

    proptest! {
        #[test]
        fn a_longer_text_never_has_fewer_parts(text in ".{0,400}", more in ".{0,40}") {
            let both = format!("{text}{more}");
            prop_assert!(measure(&both).parts >= measure(&text).parts);
        }
    }
}
