//! Opens any bytes as a mailbox file and reads all of it: `cargo +nightly fuzz run inspect`. The first byte switches the
//! verification of checksums, without which mutations reach the deeper layers.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use rejoinder_pst::{OpenOptions, PstFile, inspect_file};

fuzz_target!(|data: &[u8]| {
    let Some((switch, file)) = data.split_first() else { return };
    let options = OpenOptions {
        verify_crc: switch & 1 == 1,
        max_property_bytes: 1 << 20,
        max_attachment_bytes: 1 << 20,
        max_read_amplification: 4,
        ..OpenOptions::default()
    };
    if let Ok(mut pst) = PstFile::from_reader(Cursor::new(file), options) {
        inspect_file(&mut pst);
    }
});
