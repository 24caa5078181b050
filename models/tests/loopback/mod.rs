//! A model hub on the loopback interface, a folder of Python packages, and pulls in processes of their own, because what a
//! pull honours is set in the environment.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rejoinder_models::{Manifest, ModelStore, PullOptions, SourceChoice, pull};

/// The package's name.
pub(crate) const PACKAGE: &str = "rejoinder-test-model";

/// The process that [`Setup::pull`] starts: call it from a test named `child`, which does nothing otherwise.
pub(crate) fn pull_if_told() {
    let Some(root) = std::env::var_os("PULL_TEST_ROOT") else { return };
    let manifest = Manifest::parse(&std::env::var("PULL_TEST_MANIFEST").unwrap()).unwrap();
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
pub(crate) enum Answer {
    Whole(Vec<u8>),
    /// The right length is announced, then the connection closes after so many bytes.
    BreakAt(Vec<u8>, usize),
    Missing,
}

pub(crate) struct Hub {
    pub(crate) endpoint: String,
    files: Arc<Mutex<HashMap<String, Answer>>>,
    /// Method, path and range of every request.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
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
        Self { endpoint, files, requests }
    }

    /// Answers requests for a file of the repository `owner/tiny` at revision `abc`.
    pub(crate) fn serve(&self, name: &str, answer: Answer) {
        self.answer(&format!("/owner/tiny/resolve/abc/{name}"), answer);
    }

    /// Answers requests for a path.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.files.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }
}

fn answer(mut stream: &TcpStream, files: &Mutex<HashMap<String, Answer>>, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
    // A connection that is closed while it holds unread bytes is reset.
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
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
    if method != "HEAD" {
        let _ = stream.write_all(&body[..body.len().min(send)]);
    }
}

/// A store, a folder of wheels, and what the child process is told.
pub(crate) struct Setup {
    pub(crate) folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Setup {
    pub(crate) fn new(manifest: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("wheels")).unwrap();
        Self { folder, variables: vec![("PULL_TEST_MANIFEST", manifest.to_owned())] }
    }

    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn wheels(&self) -> PathBuf {
        self.folder.path().join("wheels")
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.folder.path().join("store").join("tiny")
    }

    /// Runs a pull and returns what it said.
    pub(crate) fn pull(&self) -> String {
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
}

/// Writes a wheel that pip takes.
pub(crate) fn write_wheel(folder: &Path, files: &[(&str, Vec<u8>)]) {
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
