//! The table at the end.

/// Rows of figures.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 7]>,
    /// Our drain, which ratios are of.
    pub(crate) drain: f64,
    notes: Vec<String>,
}

/// A row's figures; what was not measured is `None`.
#[derive(Default, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) rate: Option<f64>,
    pub(crate) redis_us: Option<f64>,
    pub(crate) worker_us: Option<f64>,
    pub(crate) waits_us: Option<(u64, u64)>,
}

impl Table {
    pub(crate) fn add(&mut self, what: &str, target: &str, row: Row) {
        let number =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
        let ratio = row.rate.filter(|_| self.drain > 0.0).map(|rate| rate / self.drain);
        self.rows.push([
            what.to_owned(),
            row.rate.map_or("-".to_owned(), thousands),
            number(ratio, 2),
            number(row.redis_us, 2),
            number(row.worker_us, 2),
            row.waits_us
                .map_or("-".to_owned(), |(p50, p99)| format!("{:.2} / {:.2}", p50 as f64 / 1e3, p99 as f64 / 1e3)),
            target.to_owned(),
        ]);
        println!("… {what}: {}", self.rows.last().unwrap()[1..6].join("  "));
    }

    pub(crate) fn note(&mut self, text: String) {
        println!("… {text}");
        self.notes.push(text);
    }

    pub(crate) fn print(&self) {
        let head = ["", "a second", "of our drain", "Redis us/job", "worker us/job", "p50 / p99 ms", "target"];
        let widths: Vec<_> = (0..head.len())
            .map(|column| {
                self.rows.iter().map(|row| row[column].chars().count()).chain([head[column].len()]).max().unwrap()
            })
            .collect();
        println!();
        for row in std::iter::once(&head.map(str::to_owned)).chain(&self.rows) {
            let cells: Vec<_> = row
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 | 6 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            println!("{}", cells.join("  ").trim_end());
        }
        println!();
        self.notes.iter().for_each(|note| println!("{note}"));
    }
}

fn thousands(rate: f64) -> String {
    let digits = format!("{rate:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
