//! Ways in turns, and a table of what came of it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Plan;
use crate::load::{Sample, Way, closed, open};

/// Of what the slowest way can do, where nobody says how much.
const BELOW_SATURATION: f64 = 0.4;

/// With how many at once that is found out.
const SATURATION_AT_ONCE: usize = 64;

/// Where files of the benchmarks go.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::var_os("REJOINDER_BENCH_DIR")
        .map_or_else(|| std::env::temp_dir().join("rejoinder-bench"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Measures the ways beside the first one, which is the straight one.
pub(crate) async fn measure(title: &str, ways: &[Arc<dyn Way>], plan: &Plan) -> anyhow::Result<()> {
    println!("\n{title}");
    // Connections, caches and allocators settle.
    for way in ways {
        closed(way, SATURATION_AT_ONCE, plan.requests.min(500)).await?;
    }
    let mut slowest = f64::INFINITY;
    for at_once in &plan.at_once {
        let mut samples = vec![Sample::default(); ways.len()];
        for _ in 0..plan.rounds {
            for (way, sample) in ways.iter().zip(&mut samples) {
                sample.add(closed(way, *at_once, plan.requests).await?);
            }
        }
        print(&format!("as fast as it goes, {at_once} at once"), ways, &samples);
        if *at_once == SATURATION_AT_ONCE {
            slowest = samples.iter().map(Sample::rate).fold(slowest, f64::min);
        }
    }
    let rate = match plan.rate {
        Some(rate) => rate,
        None if slowest.is_finite() => BELOW_SATURATION * slowest,
        None => return Ok(()),
    };
    let mut samples = vec![Sample::default(); ways.len()];
    for _ in 0..plan.rounds {
        for (way, sample) in ways.iter().zip(&mut samples) {
            sample.add(open(way, rate, Duration::from_secs(plan.seconds)).await?);
        }
    }
    print(&format!("at a fixed rate of {rate:.0} requests/s"), ways, &samples);
    Ok(())
}

fn print(load: &str, ways: &[Arc<dyn Way>], samples: &[Sample]) {
    let Some(straight) = samples.first() else { return };
    println!("\n  {load}; microseconds");
    let head = ["requests/s", "p50", "p99", "added p50", "added p99", "processor", "p50 / proxy's"];
    println!("  {:<32}{}", "", head.map(|name| format!("{name:>14}")).join(""));
    let added = |sample: &Sample, share: f64| sample.quantile(share) - straight.quantile(share);
    let proxy = samples.get(1).map(|proxy| added(proxy, 0.5));
    for (index, (way, sample)) in ways.iter().zip(samples).enumerate() {
        let (p50, p99) = (sample.quantile(0.5), sample.quantile(0.99));
        let mut line = format!("{:>14.0}{p50:>14.0}{p99:>14.0}", sample.rate());
        let (mut added_p50, mut added_p99, mut ratio) = (String::new(), String::new(), String::new());
        if index > 0 {
            added_p50 = format!("{:.0}", added(sample, 0.5));
            added_p99 = format!("{:.0}", added(sample, 0.99));
        }
        if let Some(proxy) = proxy.filter(|proxy| index > 1 && *proxy > 0.0) {
            ratio = format!("{:.1}", added(sample, 0.5) / proxy);
        }
        let processor = sample.processor_per_request();
        // A string takes writing without fail.
        let _ = write!(line, "{added_p50:>14}{added_p99:>14}{processor:>14.0}{ratio:>14}");
        println!("  {:<32}{line}", way.name());
    }
}
