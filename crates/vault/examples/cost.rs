//! What sealing and blinding cost on this machine, on one core.
//!
//! `cargo run -p rejoinder-vault --example cost`

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rejoinder_domain::TenantId;
use rejoinder_vault::{Keyring, MemoryKeys, Sealer, Vault};

/// Long enough that a start or a stop does not count.
const SPAN: Duration = Duration::from_millis(700);

fn main() -> Result<(), Box<dyn Error>> {
    let keyring = Keyring::parse(&Keyring::generate("cost")?)?;
    let vault = Vault::new(keyring, Arc::new(MemoryKeys::default()));
    let tenant = TenantId::new("cost")?;

    println!("{:>12}  {:>20}  {:>20}  {:>20}  {:>20}", "bytes", "seal", "open", "seal text", "open text");
    for length in [64, 1_000, 10_000, 100_000, 1_000_000] {
        let plain = "The pump leaks. ".repeat(length / 16 + 1);
        let plain = plain.get(..length).unwrap_or_default();
        let sealed = vault.seal(&tenant, "place", plain.as_bytes())?.into_owned();
        let text = vault.seal_text(&tenant, "place", plain)?.into_owned();
        let columns = [
            rate(length, || Ok(black_box(vault.seal(&tenant, "place", plain.as_bytes())?).len()))?,
            rate(length, || Ok(black_box(vault.open(&tenant, "place", sealed.clone())?).len()))?,
            rate(length, || Ok(black_box(vault.seal_text(&tenant, "place", plain)?).len()))?,
            rate(length, || Ok(black_box(vault.open_text(&tenant, "place", text.clone())?).len()))?,
        ];
        println!("{length:>12}  {}", columns.join("  "));
    }

    let blinder = vault.blinder(&tenant)?;
    let terms: Vec<String> = (0..1000).map(|number| format!("term{number}")).collect();
    let (runs, elapsed) = repeat(|| Ok(black_box(blinder.blind_all(terms.iter().map(String::as_str))).len()))?;
    println!("blind terms: {:.2} million/s", runs * terms.len() as f64 / elapsed.as_secs_f64() / 1e6);

    // A data key in a table in memory: making one, and unwrapping those of a thousand tenants.
    let tenants = (0..1000).map(|number| TenantId::new(format!("t{number}"))).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    for tenant in &tenants {
        vault.prepare(tenant)?;
    }
    println!("making a data key: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / tenants.len() as f64);
    let start = Instant::now();
    vault.check()?;
    println!("unwrapping a data key: {:.1} us", start.elapsed().as_secs_f64() * 1e6 / tenants.len() as f64);
    Ok(())
}

fn rate(length: usize, work: impl FnMut() -> Result<usize, Box<dyn Error>>) -> Result<String, Box<dyn Error>> {
    let (runs, elapsed) = repeat(work)?;
    let each = elapsed.as_secs_f64() / runs;
    Ok(format!("{:>7.0} MB/s {:>5.1} us", length as f64 / each / 1e6, each * 1e6))
}

fn repeat(mut work: impl FnMut() -> Result<usize, Box<dyn Error>>) -> Result<(f64, Duration), Box<dyn Error>> {
    let start = Instant::now();
    let mut runs = 0.0;
    while start.elapsed() < SPAN {
        for _ in 0..8 {
            work()?;
            runs += 1.0;
        }
    }
    Ok((runs, start.elapsed()))
}
