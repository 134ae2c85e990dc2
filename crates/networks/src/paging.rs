//! Reading a window to its end, though it may move meanwhile.
//!
//! Rows that leave a window while it is read pull the later ones forward, past the place where the next page starts.
//! The network's count betrays that: when it shrank by `k`, at most `k` rows slipped by, so the reading goes back by
//! `k` rows. Rows that are read twice do no harm.

use serde::{Deserialize, Serialize};

/// How a network's pages are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Addressing {
    /// By any offset.
    Offset,
    /// By the number of the page, so only multiples of its size can be reached.
    Number,
}

/// Where to read. It is what a cursor holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Which piece of the window.
    pub(crate) piece: usize,
    /// How many rows of the piece stand before the page.
    pub(crate) offset: u64,
    /// How many rows a page has.
    pub(crate) size: u64,
    /// How many rows the piece had on the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// The first id of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<String>,
}

/// What a page told about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape<'a> {
    /// How many rows it has.
    pub(crate) rows: u64,
    /// How many rows the network puts on a page.
    pub(crate) size: Option<u64>,
    /// How many rows the piece has.
    pub(crate) total: Option<u64>,
    /// The first row's id.
    pub(crate) first: Option<&'a str>,
}

/// A page that cannot be a page of this reading; asked again, it may be whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageFault {
    #[error("a page has {rows} rows where {expected} were to come")]
    Short { rows: u64, expected: u64 },
    #[error("the same page came again")]
    Repeated,
}

impl Position {
    pub(crate) fn start(piece: usize, size: u64) -> Self {
        Self { piece, offset: 0, size: size.max(1), total: None, first: None }
    }

    /// The page's number, counted from 1.
    pub(crate) fn page(&self) -> u64 {
        self.offset / self.size.max(1) + 1
    }

    /// Where to go on after a page; `None` at the end of the piece.
    pub(crate) fn after(&self, page: Shape<'_>, addressing: Addressing) -> Result<Option<Self>, PageFault> {
        let size = page.size.filter(|size| *size > 0).unwrap_or(self.size);
        let Some(total) = page.total.or(self.total) else {
            // Only a network that tells no count can go round in circles.
            if page.rows > 0 && page.first.is_some() && page.first == self.first.as_deref() {
                return Err(PageFault::Repeated);
            }
            let is_last = page.rows < size;
            return Ok((!is_last).then(|| self.at(self.offset + page.rows, size, None, page.first)));
        };
        if let Some(lost) = self.total.and_then(|before| before.checked_sub(total))
            && lost > 0
            && self.offset > 0
        {
            let back = self.offset.saturating_sub(lost);
            let offset = match addressing {
                Addressing::Offset => back,
                Addressing::Number => back - back % size,
            };
            return Ok((total > offset).then(|| self.at(offset, size, Some(total), None)));
        }
        let left = total.saturating_sub(self.offset);
        if page.rows >= left {
            return Ok(None);
        }
        match addressing {
            _ if page.rows == 0 => Err(PageFault::Short { rows: 0, expected: left.min(size) }),
            Addressing::Offset => Ok(Some(self.at(self.offset + page.rows, size, Some(total), page.first))),
            Addressing::Number if page.rows >= size => {
                Ok(Some(self.at(self.offset + size, size, Some(total), page.first)))
            }
            // The first page shows the size of pages where the network caps it without a word.
            Addressing::Number if self.offset == 0 && page.size.is_none() => {
                Ok(Some(self.at(page.rows, page.rows, Some(total), page.first)))
            }
            Addressing::Number => Err(PageFault::Short { rows: page.rows, expected: left.min(size) }),
        }
    }

    fn at(&self, offset: u64, size: u64, total: Option<u64>, first: Option<&str>) -> Self {
        Self { piece: self.piece, offset, size, total, first: first.map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// A report whose rows come and go between pages.
    struct Report {
        rows: Vec<u32>,
        cap: u64,
        tells_size: bool,
        tells_total: bool,
    }

    impl Report {
        fn page(&self, offset: u64, size: u64) -> (Vec<u32>, Option<u64>, Option<u64>) {
            let size = size.min(self.cap);
            let rows: Vec<_> = self.rows.iter().copied().skip(offset as usize).take(size as usize).collect();
            (rows, self.tells_size.then_some(size), self.tells_total.then_some(self.rows.len() as u64))
        }
    }

    /// Reads to the end; `between` may change the report after each page.
    fn read(
        report: &mut Report,
        size: u64,
        addressing: Addressing,
        mut between: impl FnMut(&mut Vec<u32>),
    ) -> Result<BTreeSet<u32>, PageFault> {
        let mut seen = BTreeSet::new();
        let mut position = Some(Position::start(0, size));
        let mut pages = 0;
        while let Some(here) = position {
            pages += 1;
            assert!(pages < 2_000, "it does not end");
            let offset = match addressing {
                Addressing::Offset => here.offset,
                // The network multiplies by the size it uses itself.
                Addressing::Number => (here.page() - 1) * here.size.min(report.cap),
            };
            let (rows, told_size, total) = report.page(offset, here.size);
            seen.extend(&rows);
            let first = rows.first().map(u32::to_string);
            let shape = Shape { rows: rows.len() as u64, size: told_size, total, first: first.as_deref() };
            position = here.after(shape, addressing)?;
            between(&mut report.rows);
        }
        Ok(seen)
    }

    fn report(rows: u32) -> Report {
        Report { rows: (0..rows).collect(), cap: u64::MAX, tells_size: true, tells_total: true }
    }

    proptest! {
        #[test]
        fn a_report_that_stands_still_is_read_whole(
            rows in 0_u32..60, size in 1_u64..12, cap in 1_u64..12,
            tells_size: bool, tells_total: bool, by_offset: bool,
        ) {
            let addressing = if by_offset { Addressing::Offset } else { Addressing::Number };
            // Nobody can read a network that caps its pages and tells neither their size nor the count.
            let cap = if tells_size || tells_total { cap } else { u64::MAX };
            let mut report = Report { rows: (0..rows).collect(), cap, tells_size, tells_total };
            let seen = read(&mut report, size, addressing, |_| ()).unwrap();
            prop_assert_eq!(seen.len(), rows as usize);
        }

        #[test]
        fn rows_that_leave_while_it_is_read_hide_no_others(
            rows in 0_u32..60, size in 1_u64..8, by_offset: bool,
            leaving in prop::collection::vec(prop::collection::vec(0_usize..60, 0..4), 0..12),
        ) {
            let addressing = if by_offset { Addressing::Offset } else { Addressing::Number };
            let mut report = report(rows);
            let mut leaving = leaving.into_iter();
            let seen = read(&mut report, size, addressing, |rows| {
                for index in leaving.next().unwrap_or_default() {
                    if index < rows.len() {
                        rows.remove(index);
                    }
                }
            }).unwrap();
            let stayed: BTreeSet<_> = report.rows.into_iter().collect();
            prop_assert!(stayed.is_subset(&seen), "lost {:?}", stayed.difference(&seen).collect::<Vec<_>>());
        }

        #[test]
        fn rows_that_come_while_it_is_read_hide_no_others(
            rows in 0_u32..60, size in 1_u64..8, by_offset: bool,
            coming in prop::collection::vec(prop::collection::vec(0_usize..60, 0..4), 0..12),
        ) {
            let addressing = if by_offset { Addressing::Offset } else { Addressing::Number };
            let mut report = report(rows);
            let (mut coming, mut new) = (coming.into_iter(), 1_000);
            let seen = read(&mut report, size, addressing, |rows| {
                for index in coming.next().unwrap_or_default() {
                    rows.insert(index.min(rows.len()), new);
                    new += 1;
                }
            }).unwrap();
            prop_assert!((0..rows).all(|row| seen.contains(&row)));
        }
    }

    #[test]
    fn a_page_that_broke_off_is_a_fault() {
        let here = Position::start(0, 100)
            .after(Shape { rows: 100, size: Some(100), total: Some(250), first: None }, Addressing::Number);
        let here = here.unwrap().unwrap();
        let broken = Shape { rows: 37, size: Some(100), total: Some(250), first: None };
        assert_eq!(here.after(broken, Addressing::Number), Err(PageFault::Short { rows: 37, expected: 100 }));
        let nothing = Shape { rows: 0, size: None, total: None, first: None };
        assert_eq!(here.after(nothing, Addressing::Number), Err(PageFault::Short { rows: 0, expected: 100 }));
    }

    #[test]
    fn a_network_that_gives_the_same_page_for_ever_is_found_out() {
        let page = Shape { rows: 10, size: None, total: None, first: Some("a") };
        let second = Position::start(0, 10).after(page, Addressing::Number).unwrap().unwrap();
        assert_eq!(second.after(page, Addressing::Number), Err(PageFault::Repeated));
    }

    #[test]
    fn a_position_survives_its_text() {
        let page = Shape { rows: 10, size: None, total: Some(99), first: Some("a") };
        let second = Position::start(3, 10).after(page, Addressing::Number).unwrap().unwrap();
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), second);
        assert_eq!(text, r#"{"piece":3,"offset":10,"size":10,"total":99,"first":"a"}"#);
    }
}
