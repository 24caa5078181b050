//! Counts what is in mailbox files: `cargo run -p rejoinder-pst --example inspect_mailbox -- FILE...`

use std::path::Path;

use rejoinder_pst::{ItemKind, OpenOptions, inspect};

fn main() {
    for path in std::env::args().skip(1) {
        let started = std::time::Instant::now();
        let found = inspect(Path::new(&path), OpenOptions::default());
        println!(
            "{path}: {} in {:.3} s: {} items ({} claimed, {} associated), {} attachments of {} bytes, {} embedded",
            found.status.as_str(),
            started.elapsed().as_secs_f64(),
            found.items.total(),
            found.claimed_items,
            found.associated,
            found.attachments,
            found.attachment_bytes,
            found.embedded
        );
        for kind in ItemKind::ALL {
            if found.items.of(kind) > 0 {
                println!("  {:>6} {}", found.items.of(kind), kind.as_str());
            }
        }
        for folder in &found.folders {
            println!(
                "  {:?}: {} read, {} claimed, {} associated",
                folder.path, folder.read, folder.claimed, folder.associated
            );
        }
        for problem in &found.problems {
            println!("  problem: {problem}");
        }
    }
}
