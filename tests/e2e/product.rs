//! The built program with a data folder of its own, driven as a user drives it: by its command line, and by curl.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// One installation: a configuration and a data folder that vanish with it.
pub(crate) struct Product {
    folder: TempDir,
    config: PathBuf,
    language_model: String,
}

/// A server that is stopped when it goes out of scope.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
}

/// What an HTTP call answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Product {
    /// With the sample mailbox's configuration.
    pub(crate) fn new() -> Self {
        Self::with_config(&repository().join("examples/rejoinder.toml"))
    }

    pub(crate) fn with_config(config: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // What is on the machine must not decide what a test sees.
        Self { folder, config: config.to_owned(), language_model: "none".to_owned() }
    }

    /// The same with a language model: a name or a file.
    pub(crate) fn with_language_model(self, model: &str) -> Self {
        Self { language_model: model.to_owned(), ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration's file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }

    /// The program with `arguments`, ready to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rejoinder"));
        command
            .args(arguments)
            .env("REJOINDER_CONFIG", &self.config)
            .env("REJOINDER_DATA_DIR", self.data_dir())
            .env("REJOINDER_LANGUAGE_MODEL", &self.language_model)
            .env_remove("REJOINDER_TENANT")
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program starts")
    }

    /// Runs with `--json`, expects exit code `code`, and reads the one object on standard output.
    pub(crate) fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.command(arguments).arg("--json").output().expect("the program starts");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// Every indexed message, by id.
    pub(crate) fn messages(&self) -> Vec<Value> {
        let output = self.run(&["messages", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    pub(crate) fn serve(&self) -> Serving {
        self.serve_with(&[])
    }

    /// With these variables in its environment.
    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Serving {
        let mut child = self
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Serving { child, url }
    }
}

impl Serving {
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.call(path, &["-H", "content-type: application/json", "--data-binary", body])
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call(path, &[])
    }

    /// A curl call; `arguments` are curl's.
    pub(crate) fn call(&self, path: &str, arguments: &[&str]) -> Answer {
        let output = Command::new("curl")
            .args(["-sS", "-D", "-", "--max-time", "60"])
            .args(arguments)
            .arg(format!("{}{path}", self.url))
            .output()
            .expect("curl is on this machine");
        assert!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        // An "Expect: 100-continue" exchange leaves an interim header block in front.
        let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
        let (headers, body) = text.split_once("\r\n\r\n").expect("headers and body");
        let status = headers.split_whitespace().nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, headers: headers.to_lowercase(), body: body.to_owned() }
    }

    /// Files of the index that were removed and that the server has open all the same. Linux alone tells.
    pub(crate) fn removed_files_held(&self) -> Vec<String> {
        let handles = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten();
        let files = handles.filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok());
        let names = files.map(|file| file.to_string_lossy().into_owned());
        names.filter(|name| name.contains("lancedb") && name.ends_with("(deleted)")).collect()
    }

    /// Asks the server to read its configuration again.
    pub(crate) fn hang_up(&self) {
        let told = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(told.success());
    }

    /// Tells the server to stop and returns whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let told = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(told.success());
        self.child.wait().expect("the server ends").success()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The repository's folder.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

/// A file of the sample mailbox, as text.
pub(crate) fn sample(name: &str) -> String {
    let path = repository().join("examples/mailbox").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether the embedder's weights are on this machine; says so where they are not.
pub(crate) fn weights_are_here() -> bool {
    model_is_here("all-MiniLM-L6-v2")
}

/// Whether a model's weights are on this machine; says so where they are not.
pub(crate) fn model_is_here(name: &str) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_rejoinder")).args(["models", "list", "--json"]).output();
    let list: Value = serde_json::from_slice(&output.expect("the program starts").stdout).expect("JSON");
    let mut models = list["data"].as_array().expect("models").iter();
    let here = models.any(|model| model["name"] == name && model["present"] == true);
    if !here {
        eprintln!("SKIPPED: the weights of {name} are not on this machine; run `rejoinder models pull {name}`");
    }
    here
}

/// The public corpora, where `REJOINDER_CORPUS` names their folder; says so where it does not.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = std::env::var_os("REJOINDER_CORPUS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: REJOINDER_CORPUS is not set");
    }
    folder
}
