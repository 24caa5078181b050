//! Tests on real mail. They run where `REJOINDER_CORPUS` names the folder of public data sets; a file missing there fails them.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod lists;
mod mime;
mod replies;
mod vendor;

use std::io::Read;
use std::path::PathBuf;

/// The corpus folder; `None`, said on standard output, where it is not configured.
fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("REJOINDER_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: REJOINDER_CORPUS is not set");
    }
    folder
}

/// Whether mismatches are printed with their text, for the person who looks into them.
fn verbose() -> bool {
    std::env::var_os("REJOINDER_CORPUS_VERBOSE").is_some()
}

/// The content of a `.zst` file of the corpus.
fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{} is missing: {error}", path.display()));
    let mut bytes = Vec::new();
    zstd::stream::read::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The JSON lines of a file of the corpus.
fn json_lines(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{} is missing: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Unpacks a `.tar.zst` of the corpus into a temporary folder.
fn unpacked_tar(path: &std::path::Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive.tar");
    std::fs::write(&archive, unpacked(path)).unwrap();
    let status =
        std::process::Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(status.success(), "tar could not unpack {}", path.display());
    std::fs::remove_file(&archive).unwrap();
    folder
}
