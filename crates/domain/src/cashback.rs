//! Cashback: the share of a commission that was promised at the click, and what becomes of it as the network changes its
//! mind.
//!
//! One rule carries it all: what is in the wallet for a cashback ([`Standing::credited`]) equals what is due
//! ([`Standing::due`]) after every step. A confirmation, a decline after confirmation, a return to hold and a changed
//! amount are all the difference of the two.

use serde::{Deserialize, Serialize};

use crate::money::{BasisPoints, MoneyError, Paise};
use crate::transaction::TransactionStatus;
use crate::words::words;

words! {
    /// What a cashback has come to.
    CashbackStatus, "cashback status", {
        /// The shopper sees it and cannot spend it.
        Pending = "pending",
        /// It is in the wallet, ahead of the network's money or within its holding period.
        Confirmed = "confirmed",
        /// It is in the wallet, the network has paid for it and its holding period is over.
        Payable = "payable",
        /// It was paid out in a withdrawal.
        Paid = "paid",
        /// The merchant declined it before it was credited.
        Declined = "declined",
        /// The merchant declined it after it was credited: it was taken back.
        Reversed = "reversed",
    }
}

impl CashbackStatus {
    /// Whether it counts in the wallet.
    #[must_use]
    pub const fn is_credited(self) -> bool {
        matches!(self, Self::Confirmed | Self::Payable | Self::Paid)
    }
}

/// What was promised at the click, and what the rules left of it. Fixed when the transaction is first seen; a rise that comes later
/// has to find its room [`within`](Self::within) the caps besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The shopper's share of the commission.
    pub rate: BasisPoints,
    /// The most that this transaction can bring.
    pub cap: Option<Paise>,
}

impl Terms {
    /// The cashback for a commission.
    pub fn cashback(self, commission: Paise) -> Result<Paise, MoneyError> {
        let share = commission.share(self.rate)?;
        Ok(self.cap.map_or(share, |cap| share.min(cap)))
    }

    /// Whether a cashback is to have more of the caps than it has of them: its commission rose, or it comes back from a decline.
    pub fn asks_for_more(
        self,
        before: &Standing,
        status: TransactionStatus,
        commission: Paise,
    ) -> Result<bool, MoneyError> {
        Ok(status != TransactionStatus::Declined && self.cashback(commission)? > before.used())
    }

    /// The terms of such a rise: no more than what others leave of the caps. What the cashback has of them already stays promised.
    #[must_use]
    pub fn within(self, before: &Standing, left: Option<Paise>) -> Self {
        let room = left.map(|left| left.max(before.used()));
        Self { cap: [self.cap, room].into_iter().flatten().min(), ..self }
    }
}

/// The rules that limit a promise; the smallest limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// The most that one click can bring, as promised at the click.
    pub click: Option<Paise>,
    /// The most of one merchant order.
    pub order: Option<Paise>,
    /// The most of one shopper in one month.
    pub month: Option<Paise>,
}

/// What other cashback of the same click, order and month has used up already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// By the same click.
    pub click: Paise,
    /// By the same order.
    pub order: Paise,
    /// By the same shopper in the same month.
    pub month: Paise,
}

impl Limits {
    /// What one more transaction can bring.
    pub fn left(self, used: Used) -> Result<Option<Paise>, MoneyError> {
        let left = |limit: Option<Paise>, used: Paise| {
            limit.map(|limit| Ok::<_, MoneyError>(limit.checked_sub(used)?.max(Paise::ZERO))).transpose()
        };
        let all = [left(self.click, used.click)?, left(self.order, used.order)?, left(self.month, used.month)?];
        Ok(all.into_iter().flatten().min())
    }
}

/// A cashback as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What it has come to.
    pub status: CashbackStatus,
    /// What the shopper is to get when all goes well.
    pub amount: Paise,
    /// What of it is in the wallet.
    pub credited: Paise,
    /// Whether the network has paid for it.
    pub funded: bool,
    /// Ledger entries so far; names the next one.
    pub postings: i32,
    /// Changes so far; names the next one.
    pub revision: i32,
}

impl Standing {
    /// What has to be in the wallet.
    #[must_use]
    pub fn due(&self) -> Paise {
        if self.status.is_credited() { self.amount } else { Paise::ZERO }
    }

    /// What it has of the caps: nothing while it is declined.
    #[must_use]
    pub const fn used(&self) -> Paise {
        match self.status {
            CashbackStatus::Declined | CashbackStatus::Reversed => Paise::ZERO,
            _ => self.amount,
        }
    }
}

/// What the network says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// Where the transaction stands.
    pub status: TransactionStatus,
    /// Whether the network's money has reached us.
    pub funded: bool,
    /// Our commission.
    pub commission: Paise,
    /// Whether confirmed cashback is still within its holding period.
    pub held: bool,
}

/// What a shopper is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A purchase was tracked, or is on hold again.
    Tracked {
        /// What is expected.
        amount: Paise,
    },
    /// Money came into the wallet.
    Credited {
        /// How much.
        amount: Paise,
    },
    /// Cashback is gone.
    Declined {
        /// How much.
        amount: Paise,
        /// Whether it was in the wallet.
        was_credited: bool,
    },
}

/// One change of a cashback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// How it stands afterwards.
    pub standing: Standing,
    /// What moves into the wallet, or out of it when negative. Never zero.
    pub posting: Option<Paise>,
    /// What the shopper is told.
    pub notice: Option<Notice>,
}

/// What becomes of a cashback by the network's news. `None`: nothing changes.
pub fn step(before: Option<&Standing>, terms: Terms, news: &News) -> Result<Option<Step>, MoneyError> {
    let amount = terms.cashback(news.commission)?;
    let is_agreed = matches!(news.status, TransactionStatus::Confirmed | TransactionStatus::Payable);
    let funded = is_agreed && news.funded;
    let was_credited = before.is_some_and(|standing| standing.status.is_credited());
    let ever_credited = before.is_some_and(|standing| standing.postings > 0);
    let was_paid = before.is_some_and(|standing| standing.status == CashbackStatus::Paid);
    let status = match news.status {
        TransactionStatus::Pending => CashbackStatus::Pending,
        TransactionStatus::Confirmed | TransactionStatus::Payable if was_paid => CashbackStatus::Paid,
        TransactionStatus::Confirmed | TransactionStatus::Payable if funded && !news.held => CashbackStatus::Payable,
        TransactionStatus::Confirmed | TransactionStatus::Payable => CashbackStatus::Confirmed,
        TransactionStatus::Declined if ever_credited => CashbackStatus::Reversed,
        TransactionStatus::Declined => CashbackStatus::Declined,
    };
    let credited_before = before.map_or(Paise::ZERO, |standing| standing.credited);
    let mut after = Standing {
        status,
        amount,
        credited: Paise::ZERO,
        funded,
        postings: before.map_or(0, |standing| standing.postings),
        revision: before.map_or(0, |standing| standing.revision),
    };
    after.credited = after.due();
    let difference = after.credited.checked_sub(credited_before)?;
    let posting = (difference != Paise::ZERO).then_some(difference);
    if posting.is_some() {
        after.postings = after.postings.checked_add(1).ok_or(MoneyError::OutOfRange)?;
    }
    if before == Some(&after) {
        return Ok(None);
    }
    after.revision = after.revision.checked_add(1).ok_or(MoneyError::OutOfRange)?;
    let notice = notice(before, &after, was_credited, difference)?;
    Ok(Some(Step { standing: after, posting, notice }))
}

fn notice(
    before: Option<&Standing>,
    after: &Standing,
    was_credited: bool,
    difference: Paise,
) -> Result<Option<Notice>, MoneyError> {
    if difference.is_positive() {
        return Ok(Some(Notice::Credited { amount: difference }));
    }
    let told_before = before.filter(|standing| standing.amount.is_positive());
    Ok(match after.status {
        CashbackStatus::Pending => {
            // Once when first seen, and when money leaves the wallet because the merchant holds the purchase again.
            let is_new = told_before.is_none_or(|standing| standing.status != CashbackStatus::Pending);
            (is_new && after.amount.is_positive()).then_some(Notice::Tracked { amount: after.amount })
        }
        CashbackStatus::Declined | CashbackStatus::Reversed => told_before
            .filter(|standing| !matches!(standing.status, CashbackStatus::Declined | CashbackStatus::Reversed))
            .map(|standing| Notice::Declined { amount: standing.amount, was_credited }),
        _ if difference.is_negative() => {
            Some(Notice::Declined { amount: difference.checked_neg()?, was_credited: true })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(rate: i32, cap: Option<i64>) -> Terms {
        Terms { rate: BasisPoints::new(rate).unwrap(), cap: cap.map(Paise::new) }
    }

    fn news(status: TransactionStatus, commission: i64) -> News {
        let funded = status == TransactionStatus::Payable;
        News { status, funded, commission: Paise::new(commission), held: false }
    }

    fn run(history: &[News], terms: Terms) -> (Option<Standing>, Vec<Step>) {
        let mut standing = None;
        let mut steps = Vec::new();
        for news in history {
            if let Some(step) = step(standing.as_ref(), terms, news).unwrap() {
                standing = Some(step.standing);
                steps.push(step);
            }
        }
        (standing, steps)
    }

    #[test]
    fn the_usual_life_credits_once_and_tells_twice() {
        let history = [
            news(TransactionStatus::Pending, 10_000),
            news(TransactionStatus::Confirmed, 10_000),
            news(TransactionStatus::Payable, 10_000),
        ];
        let (standing, steps) = run(&history, terms(5_000, None));
        let standing = standing.unwrap();
        assert_eq!((standing.status, standing.credited), (CashbackStatus::Payable, Paise::new(5_000)));
        let postings: Vec<_> = steps.iter().filter_map(|step| step.posting).collect();
        assert_eq!(postings, [Paise::new(5_000)]);
        let notices: Vec<_> = steps.iter().filter_map(|step| step.notice).collect();
        let amount = Paise::new(5_000);
        assert_eq!(notices, [Notice::Tracked { amount }, Notice::Credited { amount }]);
    }

    #[test]
    fn a_decline_after_credit_takes_it_back_and_a_change_posts_the_difference() {
        let history = [
            news(TransactionStatus::Confirmed, 10_000),
            news(TransactionStatus::Confirmed, 12_000),
            news(TransactionStatus::Declined, 12_000),
            news(TransactionStatus::Confirmed, 4_000),
            news(TransactionStatus::Pending, 4_000),
        ];
        let (standing, steps) = run(&history, terms(5_000, None));
        let postings: Vec<_> = steps.iter().filter_map(|step| step.posting).map(Paise::get).collect();
        assert_eq!(postings, [5_000, 1_000, -6_000, 2_000, -2_000]);
        assert_eq!(standing.unwrap().status, CashbackStatus::Pending);
        assert_eq!(steps[2].standing.status, CashbackStatus::Reversed);
        assert_eq!(steps[2].notice, Some(Notice::Declined { amount: Paise::new(6_000), was_credited: true }));
    }

    #[test]
    fn caps_and_rounding_favour_the_platform() {
        assert_eq!(terms(3_333, None).cashback(Paise::new(100)).unwrap(), Paise::new(33));
        assert_eq!(terms(10_000, Some(50)).cashback(Paise::new(100)).unwrap(), Paise::new(50));
        assert_eq!(terms(10_000, None).cashback(Paise::new(-100)).unwrap(), Paise::ZERO);
        let limits = Limits { click: Some(Paise::new(100)), order: None, month: Some(Paise::new(80)) };
        let used = Used { click: Paise::new(90), order: Paise::ZERO, month: Paise::new(85) };
        assert_eq!(limits.left(used).unwrap(), Some(Paise::ZERO));
        assert_eq!(Limits::default().left(used).unwrap(), None);
    }

    #[test]
    fn a_rise_finds_its_room_within_the_caps_and_lowers_nothing() {
        let promised = terms(5_000, Some(7_000));
        let (standing, _) = run(&[news(TransactionStatus::Confirmed, 10_000)], promised);
        let standing = standing.unwrap();
        let asks = |status, commission| promised.asks_for_more(&standing, status, Paise::new(commission)).unwrap();
        assert!(asks(TransactionStatus::Payable, 10_002));
        assert!(!asks(TransactionStatus::Payable, 10_000) && !asks(TransactionStatus::Declined, 20_000));
        let room = |left: i64| promised.within(&standing, Some(Paise::new(left))).cashback(Paise::new(20_000)).unwrap();
        assert_eq!((room(9_000), room(6_000), room(0)), (Paise::new(7_000), Paise::new(6_000), Paise::new(5_000)));
        assert_eq!(promised.within(&standing, None), promised);

        let (declined, _) = run(&[news(TransactionStatus::Declined, 10_000)], promised);
        let declined = declined.unwrap();
        assert!(promised.asks_for_more(&declined, TransactionStatus::Confirmed, Paise::new(10_000)).unwrap());
        assert_eq!(promised.within(&declined, Some(Paise::ZERO)).cap, Some(Paise::ZERO));
    }

    /// Purchases that share caps: all of them the month's, two and two a click's, and crosswise an order's.
    type Shared = [Option<(Terms, Standing)>; 4];

    fn sum(shared: &Shared, counts: impl Fn(usize) -> bool) -> Paise {
        let counted = shared.iter().enumerate().filter(|(place, _)| counts(*place)).filter_map(|(_, one)| *one);
        counted.fold(Paise::ZERO, |sum, (_, standing)| sum.checked_add(standing.used()).unwrap())
    }

    /// What counts against the caps of one of them, without what `is_left_out`.
    fn used(shared: &Shared, place: usize, is_left_out: impl Fn(usize) -> bool) -> Used {
        Used {
            click: sum(shared, |other| other / 2 == place / 2 && !is_left_out(other)),
            order: sum(shared, |other| other % 2 == place % 2 && !is_left_out(other)),
            month: sum(shared, |other| !is_left_out(other)),
        }
    }

    fn any_news() -> impl Strategy<Value = News> {
        let status = prop::sample::select(TransactionStatus::ALL.to_vec());
        (status, any::<bool>(), -500_i64..2_000_000, any::<bool>()).prop_map(|(status, funded, commission, held)| {
            News { status, funded, commission: Paise::new(commission), held }
        })
    }

    proptest! {
        #[test]
        fn what_shares_caps_never_exceeds_them_and_nothing_promised_is_lowered_by_them(
            caps in prop::array::uniform3(prop::option::of(0..1_500_000_i64)),
            history in prop::collection::vec((0..4_usize, any_news()), 1..40),
        ) {
            let [click, order, month] = caps.map(|cap| cap.map(Paise::new));
            let limits = Limits { click, order, month };
            let mut shared: Shared = [None; 4];
            for (place, news) in history {
                let left = limits.left(used(&shared, place, |other| other == place)).unwrap();
                let (fixed, before) = match shared[place] {
                    Some((terms, standing)) => (terms, Some(standing)),
                    None => (Terms { cap: left, ..terms(5_000, None) }, None),
                };
                let rises = before.filter(|before| {
                    fixed.asks_for_more(before, news.status, news.commission).unwrap()
                });
                let terms = rises.map_or(fixed, |before| fixed.within(&before, left));
                let Some(step) = step(before.as_ref(), terms, &news).unwrap() else { continue };
                shared[place] = Some((fixed, step.standing));
                let used = used(&shared, place, |_nobody| false);
                for (cap, used) in [(click, used.click), (order, used.order), (month, used.month)] {
                    prop_assert!(cap.is_none_or(|cap| used <= cap), "{used:?} of {cap:?}");
                }
                if let Some(before) = before && news.status != TransactionStatus::Declined {
                    let due = fixed.cashback(news.commission).unwrap();
                    prop_assert!(step.standing.amount >= due.min(before.used()));
                }
            }
        }

        #[test]
        fn the_wallet_always_holds_what_is_due(
            history in prop::collection::vec(any_news(), 1..12), rate in 0..=10_000_i32, cap in prop::option::of(0..100_000_i64),
        ) {
            let terms = terms(rate, cap);
            let mut standing: Option<Standing> = None;
            let mut wallet = Paise::ZERO;
            for news in &history {
                let Some(step) = step(standing.as_ref(), terms, news).unwrap() else { continue };
                if let Some(posting) = step.posting {
                    prop_assert!(posting != Paise::ZERO);
                    wallet = wallet.checked_add(posting).unwrap();
                }
                prop_assert_eq!(wallet, step.standing.credited);
                prop_assert_eq!(wallet, step.standing.due());
                prop_assert!(cap.is_none_or(|cap| wallet <= Paise::new(cap)));
                // The same news again is no news.
                prop_assert_eq!(super::step(Some(&step.standing), terms, news).unwrap(), None);
                standing = Some(step.standing);
            }
            // Only the last news counts for the money, whatever came before.
            let direct = super::step(None, terms, history.last().unwrap()).unwrap().unwrap();
            prop_assert_eq!(direct.standing.credited, wallet);
        }
    }
}
