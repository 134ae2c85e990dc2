//! Who is played: the providers, and among them the affiliate networks.

use serde::{Deserialize, Serialize};

/// A provider, named by the first segment of its paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Provider {
    Sendgrid,
    Msg91,
    Admitad,
    Vcommission,
    Cuelinks,
    Razorpay,
    Shop,
    /// The mail server; its port is its own, and so no path is its.
    Smtp,
}

impl Provider {
    /// The provider a request path belongs to.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        match path.split('/').nth(1)? {
            "sendgrid" => Some(Self::Sendgrid),
            "msg91" => Some(Self::Msg91),
            "admitad" => Some(Self::Admitad),
            "vcommission" => Some(Self::Vcommission),
            "cuelinks" => Some(Self::Cuelinks),
            "razorpay" => Some(Self::Razorpay),
            "shop" => Some(Self::Shop),
            _ => None,
        }
    }

    /// The name in paths, in the control API and on pages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sendgrid => "sendgrid",
            Self::Msg91 => "msg91",
            Self::Admitad => "admitad",
            Self::Vcommission => "vcommission",
            Self::Cuelinks => "cuelinks",
            Self::Razorpay => "razorpay",
            Self::Shop => "shop",
            Self::Smtp => "smtp",
        }
    }
}

/// An affiliate network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Network {
    Admitad,
    Vcommission,
    Cuelinks,
}

impl Network {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Admitad, Self::Vcommission, Self::Cuelinks];

    /// The same party as a provider.
    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::Admitad => Provider::Admitad,
            Self::Vcommission => Provider::Vcommission,
            Self::Cuelinks => Provider::Cuelinks,
        }
    }

    /// The name in paths and in the control API.
    pub(crate) fn name(self) -> &'static str {
        self.provider().name()
    }

    /// The network a name stands for.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|n| n.name() == name)
    }

    /// The status words of the network's own API, the first one being that of a fresh conversion.
    pub(crate) fn statuses(self) -> &'static [&'static str] {
        match self {
            Self::Admitad => &["pending", "approved", "declined", "approved_but_stalled"],
            Self::Vcommission => &["pending", "approved", "cancelled", "rejected"],
            Self::Cuelinks => &["pending", "validated", "payable", "invoice_raised", "paid", "rejected", "claimed"],
        }
    }

    /// The parameters of a link that carry our click id, in the order they are read back.
    pub(crate) fn sub_id_names(self) -> &'static [&'static str] {
        match self {
            Self::Admitad => &["subid4", "subid", "subid1", "subid2", "subid3"],
            Self::Vcommission => &["p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "source"],
            Self::Cuelinks => &["subid", "subid2", "subid3", "subid4", "subid5"],
        }
    }
}
