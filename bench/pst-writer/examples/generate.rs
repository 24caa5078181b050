//! Writes a large mailbox: `generate FILE MEGABYTES [unicode|ansi] [none|permute|cyclic] [SEED]`.

use std::time::Instant;

use anyhow::{Context, bail};
use rejoinder_pst_writer::generate::{GenerateOptions, mailbox};
use rejoinder_pst_writer::{Encoding, Format};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |number: usize| arguments.get(number).map(String::as_str);
    let path = argument(0).context("say where to write the file")?;
    let megabytes: u64 = argument(1).context("say how many megabytes")?.parse()?;
    let options = GenerateOptions {
        bytes: megabytes << 20,
        format: match argument(2) {
            None | Some("unicode") => Format::Unicode,
            Some("ansi") => Format::Ansi,
            Some(other) => bail!("{other} is neither unicode nor ansi"),
        },
        encoding: match argument(3) {
            None | Some("permute") => Encoding::Permute,
            Some("none") => Encoding::None,
            Some("cyclic") => Encoding::Cyclic,
            Some(other) => bail!("{other} is none of none, permute and cyclic"),
        },
        seed: argument(4).map_or(Ok(1), str::parse)?,
    };
    let start = Instant::now();
    let written = mailbox(path, options)?;
    let seconds = start.elapsed().as_secs_f64();
    let rate = written.bytes as f64 / 1e6 / seconds;
    println!("{} messages, {} bytes in {seconds:.1} s: {rate:.0} MB/s", written.messages, written.bytes);
    Ok(())
}
