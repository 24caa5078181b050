//! A caller that speaks HTTP, with connections that are kept open.

use anyhow::Context as _;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::children::Process;
use crate::load::Way;
use crate::prompt::Question;

/// The end of a streamed answer.
const END: &[u8] = b"data: [DONE]";

/// Streamed chat completions at one address.
pub(crate) struct HttpWay {
    name: String,
    uri: Uri,
    process: Process,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl HttpWay {
    /// `process` is what listens at `base_url`.
    pub(crate) fn new(name: &str, base_url: &str, process: Process) -> anyhow::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            name: name.to_owned(),
            uri: format!("{base_url}/v1/chat/completions").parse().context("an address")?,
            process,
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }
}

#[async_trait]
impl Way for HttpWay {
    fn name(&self) -> &str {
        &self.name
    }

    fn process(&self) -> Process {
        self.process
    }

    async fn ask(&self, question: Question) -> anyhow::Result<()> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.uri.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(question.body()))?;
        let answer = self.client.request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let whole = body.windows(END.len()).any(|window| window == END);
        anyhow::ensure!(status.is_success() && whole, "{status}: {}", String::from_utf8_lossy(&body));
        Ok(())
    }
}
