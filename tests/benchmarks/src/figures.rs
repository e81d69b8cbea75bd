//! Figures and what is said of them.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use pod_identity_world::Call;

/// Measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(crate) fn least(&self) -> f64 {
        self.at(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub(crate) fn p95(&self) -> f64 {
        self.at(0.95)
    }

    /// The figure that this share of all does not exceed.
    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        #[allow(clippy::cast_sign_loss)]
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// Times some work, its result not dropped before the clock is read; one round goes unmeasured.
pub(crate) fn time<T>(rounds: usize, mut work: impl FnMut() -> T) -> Figures {
    black_box(work());
    let mut figures = Figures::default();
    for _ in 0..rounds {
        let begin = Instant::now();
        let result = black_box(work());
        figures.add(ms(begin.elapsed()));
        drop(result);
    }
    figures
}

/// A figure with two places, aligned with others.
pub(crate) fn cell(figure: f64) -> String {
    format!("{figure:>8.2}")
}

/// Whether a figure keeps to the goal that it must not exceed.
pub(crate) fn verdict(figure: f64, goal: f64) -> String {
    if figure <= goal { "ok" } else { "OVER" }.to_owned()
}

/// How often each operation was called in each of some cases, as cells of a table.
pub(crate) fn by_operation<const N: usize>(cases: [&[Call]; N]) -> BTreeMap<String, [String; N]> {
    let mut counts: BTreeMap<String, [usize; N]> = BTreeMap::new();
    for (column, calls) in cases.into_iter().enumerate() {
        for call in calls {
            let operation = format!("{} {}", call.service, call.operation);
            counts.entry(operation).or_insert([0; N])[column] += 1;
        }
    }
    let cell = |count: usize| if count == 0 { "-".to_owned() } else { count.to_string() };
    counts.into_iter().map(|(operation, counts)| (operation, counts.map(cell))).collect()
}
