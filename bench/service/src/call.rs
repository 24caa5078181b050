//! Calls of the sidecar over HTTP, with everything of the answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;

/// Longest time for an answer; over it the request counts as lost.
const PATIENCE: Duration = Duration::from_mins(3);
/// Tries while the server says that it is busy.
const TRIES: u32 = 60;

/// Calls one server.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: reqwest::Client,
    url: String,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    key: Option<String>,
    content_type: &'static str,
    body: Vec<u8>,
    headers: Vec<(&'static str, String)>,
    /// Not sent again, whatever the answer is.
    once: bool,
}

/// Its answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// One a line, with names in lower case.
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Caller {
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(512).build()?;
        Ok(Self { client, url: url.to_owned() })
    }

    /// The answer, whatever its status.
    pub(crate) async fn send(&self, call: &Call) -> anyhow::Result<Answer> {
        let mut request = self.client.request(call.method.clone(), format!("{}{}", self.url, call.path));
        if let Some(key) = &call.key {
            request = request.bearer_auth(key);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if !call.content_type.is_empty() {
            request = request.header("content-type", call.content_type).body(call.body.clone());
        }
        let what = || format!("{} {}", call.method, call.path);
        let response = request.send().await.with_context(what)?;
        let status = response.status().as_u16();
        let line = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
            format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
        };
        let headers = response.headers().iter().map(line).collect();
        let body = response.bytes().await.with_context(what)?.to_vec();
        Ok(Answer { status, headers, body })
    }

    /// The answer, once the server is not too busy to give it.
    pub(crate) async fn insist(&self, call: &Call) -> anyhow::Result<Answer> {
        let mut tries = 0;
        loop {
            let answer = self.send(call).await?;
            tries += 1;
            if call.once || !matches!(answer.status, 429 | 503) || tries == TRIES {
                return Ok(answer);
            }
            let wait = answer.header("retry-after").and_then(|wait| wait.parse().ok()).unwrap_or(1_u64);
            // What the server asks for, less what would make a test of thousands of calls wait for each second.
            tokio::time::sleep(Duration::from_millis((wait * 1000).min(200 * u64::from(tries)))).await;
        }
    }
}

impl Call {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            key: None,
            content_type: "",
            body: Vec::new(),
            headers: Vec::new(),
            once: false,
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(crate) fn json(path: impl Into<String>, body: &Value) -> Self {
        Self::raw(path, "application/json", body.to_string().into_bytes())
    }

    /// A POST of anything.
    pub(crate) fn raw(path: impl Into<String>, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { content_type, body, ..Self::new(Method::POST, path) }
    }

    /// An upload of one file.
    pub(crate) fn upload(path: impl Into<String>, filename: &str, content: &[u8]) -> Self {
        let mut body = format!(
            "--part-of-the-test\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\n\
             content-type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n--part-of-the-test--\r\n");
        Self::raw(path, "multipart/form-data; boundary=part-of-the-test", body)
    }

    pub(crate) fn by(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    pub(crate) fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    /// Its answer is final, also where the server says that it cannot give a better one now.
    pub(crate) fn once(self) -> Self {
        Self { once: true, ..self }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Everything that the caller said: an answer may repeat it.
    pub(crate) fn said(&self) -> String {
        let headers: Vec<&str> = self.headers.iter().map(|(_, value)| value.as_str()).collect();
        format!("{} {} {}", self.path, headers.join(" "), String::from_utf8_lossy(&self.body))
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.headers.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    /// A string of the body, by JSON pointer.
    pub(crate) fn string(&self, pointer: &str) -> Option<String> {
        self.json().pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    }

    /// The entries of a list.
    pub(crate) fn data(&self) -> Vec<Value> {
        self.json().get("data").and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// Name and data of every event of a stream.
    pub(crate) fn events(&self) -> Vec<(String, String, Value)> {
        let text = self.text();
        let field = |block: &str, name: &str| {
            let prefix = format!("{name}: ");
            block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
        };
        let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
        let parsed = |block: &str| serde_json::from_str(&field(block, "data")).unwrap_or_default();
        blocks.map(|block| (field(block, "event"), field(block, "id"), parsed(block))).collect()
    }
}

/// A number that no other call of this process gets.
pub(crate) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
