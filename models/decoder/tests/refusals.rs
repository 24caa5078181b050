//! A file that would be run wrongly is refused, with what is supported; a damaged one is called so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "reference/tiny.rs"]
mod tiny;

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;
use rejoinder_decoder::{Decoder, DecoderError, DecoderOptions, Gguf};

fn model(folder: &Path, kind: GgmlDType) -> PathBuf {
    let reference = tiny::Reference::load();
    let model = reference.models().iter().find(|model| model.name == "qwen3-tied").unwrap();
    reference.write_gguf(model, kind, folder)
}

fn load(path: &Path) -> Result<Decoder, DecoderError> {
    let options = DecoderOptions { threads: Some(1), ..DecoderOptions::default() };
    Decoder::load(&Gguf::open(path)?, &options)
}

/// The model with every occurrence of `from` replaced by `to`, which is as long.
fn changed(folder: &Path, from: &[u8], to: &[u8]) -> PathBuf {
    assert_eq!(from.len(), to.len());
    let path = model(folder, GgmlDType::F32);
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to change");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(&path, bytes).unwrap();
    path
}

fn reason(path: &Path) -> String {
    load(path).err().expect("it must be refused").to_string()
}

#[test]
fn what_is_not_supported_is_named_with_what_is() {
    let folder = tempfile::tempdir().unwrap();
    for (from, to, named) in [
        (&b"qwen3"[..], &b"gemma"[..], "architecture \"gemma\""),
        (b"blk.1.attn_q_norm.weight", b"blk.1.attn_q.bias.weight", "tensor blk.1"),
        // A type of ggml's that candle does not read: IQ4_XS is 23.
        (
            b"\x02\0\0\0\x40\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\0\0\0\0",
            b"\x02\0\0\0\x40\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\x17\0\0\0",
            "23",
        ),
    ] {
        let reason = reason(&changed(folder.path(), from, to));
        assert!(reason.contains(named) && reason.contains("qwen3 and llama"), "{reason}");
        assert!(reason.contains("Q4_K"), "{reason}");
    }
}

#[test]
fn what_contradicts_itself_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let width = b"qwen3.embedding_length\x04\0\0\0\x40\0\0\0";
    let wider = b"qwen3.embedding_length\x04\0\0\0\x60\0\0\0";
    let reason_of_width = reason(&changed(folder.path(), width, wider));
    assert!(
        reason_of_width.contains("contradicts itself") && reason_of_width.contains("should be"),
        "{reason_of_width}"
    );
    let missing = reason(&changed(folder.path(), b"qwen3.block_count", b"qwen3.block_kount"));
    assert!(missing.contains("block_count is missing"), "{missing}");
    let layers = b"qwen3.block_count\x04\0\0\0\x03\0\0\0";
    let fewer = b"qwen3.block_count\x04\0\0\0\x02\0\0\0";
    let unused = reason(&changed(folder.path(), layers, fewer));
    assert!(unused.contains("tensor blk.2"), "a layer that would not be run must not be ignored: {unused}");
}

#[test]
fn quantised_files_load_and_rows_that_blocks_do_not_fill_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for kind in [GgmlDType::F16, GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1] {
        assert!(load(&model(folder.path(), kind)).is_ok(), "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// A file that was cut or in which bytes were changed gives a model or an error, never a crash.
    #[test]
    fn damaged_files_never_crash(cut in 0_usize..60_000, at in 0_usize..14_000, byte in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = model(folder.path(), GgmlDType::Q8_0);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = at.min(bytes.len() - 1);
        bytes[at] = byte;
        if cut % 3 == 0 {
            bytes.truncate(cut.max(at));
        }
        std::fs::write(&path, &bytes).unwrap();
        let _ = load(&path);
    }
}
