//! Whether memory stays as it is over many requests.

use std::sync::Arc;

use crate::children::Process;
use crate::load::{Way, closed};

/// How many requests are under way meanwhile.
const AT_ONCE: usize = 64;

/// In how many steps memory is looked at.
const STEPS: usize = 10;

/// Sends `requests` and prints the memory of `process` after every tenth of them.
pub(crate) async fn watch(way: &Arc<dyn Way>, process: Process, requests: usize) -> anyhow::Result<()> {
    if requests == 0 {
        return Ok(());
    }
    if process.resident_bytes().is_none() {
        println!("memory: this system does not tell");
        return Ok(());
    }
    let mebibytes = || process.resident_bytes().unwrap_or_default() as f64 / f64::from(1 << 20);
    println!("\nResident memory, {}, {AT_ONCE} at once, MiB:", way.name());
    println!("{:>10} requests {:>8.1}", 0, mebibytes());
    for step in 1..=STEPS {
        closed(way, AT_ONCE, requests / STEPS).await?;
        println!("{:>10} requests {:>8.1}", requests / STEPS * step, mebibytes());
    }
    Ok(())
}
