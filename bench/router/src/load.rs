//! Requests as fast as it goes, and at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;

use crate::children::Process;
use crate::prompt::Question;

/// A way to the provider.
#[async_trait]
pub(crate) trait Way: Send + Sync {
    /// What it is called in the report.
    fn name(&self) -> &str;

    /// The process whose time it costs, beside that of the provider and, for HTTP, of the asker.
    fn process(&self) -> Process;

    /// Asks and waits for the whole answer; an answer that is not the provider's is an error.
    async fn ask(&self, question: Question) -> anyhow::Result<()>;
}

/// What came of some requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The time of each.
    pub(crate) times: Vec<Duration>,
    /// All of them together.
    pub(crate) took: Duration,
    /// Time of the processor that the way's process used.
    pub(crate) processor: Duration,
}

impl Sample {
    /// Adds what came of more.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.times.append(&mut other.times);
        self.took += other.took;
        self.processor += other.processor;
    }

    /// The time that a share of the requests stayed below, in microseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable();
        let rank = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
        times.get(rank).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
    }

    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of the processor per request.
    pub(crate) fn processor_per_request(&self) -> f64 {
        self.processor.as_secs_f64() * 1e6 / self.times.len() as f64
    }
}

/// Every request is another one, so that none is answered from memory.
fn next_question() -> Question {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    Question { number: NUMBER.fetch_add(1, Ordering::Relaxed) }
}

/// Keeps `at_once` requests under way until `requests` are answered.
pub(crate) async fn closed(way: &Arc<dyn Way>, at_once: usize, requests: usize) -> anyhow::Result<Sample> {
    let before = way.process().processor_time();
    let begin = Instant::now();
    let left = Arc::new(AtomicU64::new(requests as u64));
    let askers: Vec<_> = (0..at_once)
        .map(|_| {
            let (way, left) = (Arc::clone(way), Arc::clone(&left));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let begin = Instant::now();
                    way.ask(next_question()).await?;
                    times.push(begin.elapsed());
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut times = Vec::with_capacity(requests);
    for asker in askers {
        times.append(&mut asker.await?.with_context(|| way.name().to_owned())?);
    }
    let took = begin.elapsed();
    Ok(Sample { times, took, processor: way.process().processor_time().saturating_sub(before) })
}

/// Sends requests at random times, `rate` a second on average, for a time. The time of a request counts from when it was due:
/// one that could not be sent because others were not answered has waited, too.
pub(crate) async fn open(way: &Arc<dyn Way>, rate: f64, time: Duration) -> anyhow::Result<Sample> {
    let before = way.process().processor_time();
    let (done, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let runtime = tokio::runtime::Handle::current();
    let begin = Instant::now();
    let sender = {
        let way = Arc::clone(way);
        // A thread of its own: the timers of the runtime are too coarse.
        std::thread::spawn(move || {
            let mut due = begin;
            let mut draw = Draw(7);
            loop {
                due += Duration::from_secs_f64(-draw.next().ln() / rate);
                if due.saturating_duration_since(begin) > time {
                    return;
                }
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let (way, done) = (Arc::clone(&way), done.clone());
                runtime.spawn(async move {
                    let answer = way.ask(next_question()).await.map(|()| due.elapsed());
                    // Who does not listen any more has met an error.
                    let _ = done.send(answer);
                });
            }
        })
    };
    let mut times = Vec::new();
    while let Some(answer) = answers.recv().await {
        times.push(answer.with_context(|| way.name().to_owned())?);
    }
    let took = begin.elapsed();
    anyhow::ensure!(sender.join().is_ok(), "the sender failed");
    Ok(Sample { times, took, processor: way.process().processor_time().saturating_sub(before) })
}

/// The same numbers for every way: above 0 to 1.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_occurred() {
        let times: Vec<Duration> = (1..=100).rev().map(Duration::from_micros).collect();
        let sample = Sample { times, ..Sample::default() };
        let quantiles = [0.0, 0.005, 0.5, 0.99, 1.0].map(|share| sample.quantile(share).round() as u64);
        assert_eq!(quantiles, [1, 1, 50, 99, 100]);
        assert!(Sample::default().quantile(0.5).is_nan());
    }

    #[test]
    fn draws_are_spread_as_times_between_random_events_are() {
        let mut draw = Draw(7);
        let draws: Vec<f64> = (0..10_000).map(|_| draw.next()).collect();
        assert!(draws.iter().all(|draw| *draw > 0.0 && *draw <= 1.0));
        let mean = draws.iter().map(|draw| -draw.ln()).sum::<f64>() / draws.len() as f64;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
    }

    /// Answers the first question late and all others at once.
    struct SlowToBegin(AtomicU64);

    #[async_trait]
    impl Way for SlowToBegin {
        fn name(&self) -> &'static str {
            "slow to begin"
        }

        fn process(&self) -> Process {
            Process(None)
        }

        async fn ask(&self, _: Question) -> anyhow::Result<()> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                // The only thread of the runtime: everything that is due meanwhile has to wait.
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn at_a_fixed_rate_the_time_counts_from_when_a_request_was_due() {
        let way: Arc<dyn Way> = Arc::new(SlowToBegin(AtomicU64::new(0)));
        let sample = open(&way, 200.0, Duration::from_millis(300)).await.unwrap();
        let waited = sample.times.iter().filter(|time| **time > Duration::from_millis(20)).count();
        assert!(waited > 10, "only {waited} of {} waited for the one that blocked them", sample.times.len());
        let way: Arc<dyn Way> = Arc::new(SlowToBegin(AtomicU64::new(1)));
        assert_eq!(closed(&way, 7, 100).await.unwrap().times.len(), 100);
    }
}
