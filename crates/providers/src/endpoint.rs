//! The options, ready for requests.

use reqwest::Client;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use rejoinder_domain::{ErrorKind, SeamError};

use crate::options::{ApiKeyHeader, RemoteOptions};

/// What every request of a target has in common.
pub(crate) struct Endpoint {
    /// Without a slash at its end.
    pub(crate) base_url: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) key: SecretString,
    pub(crate) client: Client,
}

impl Endpoint {
    pub(crate) fn new(options: &RemoteOptions) -> Result<Self, SeamError> {
        options.validate().map_err(|sentence| SeamError::new(ErrorKind::Invalid, sentence))?;
        let url = options.url().map_err(|sentence| SeamError::new(ErrorKind::Invalid, sentence))?;
        let secure = url.scheme() == "https";
        Ok(Self {
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            query: options.query.clone(),
            headers: headers(options)?,
            key: options.api_key.clone().unwrap_or_else(|| SecretString::from(String::new())),
            client: client(options, secure)?,
        })
    }
}

fn headers(options: &RemoteOptions) -> Result<HeaderMap, SeamError> {
    let invalid =
        |_| SeamError::new(ErrorKind::Invalid, format!("a header of the target {} is not allowed", options.name));
    let secret = |value: &str| {
        HeaderValue::from_str(value)
            .map(|mut value| {
                value.set_sensitive(true);
                value
            })
            .map_err(invalid)
    };
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
    if let Some(key) = &options.api_key {
        let (name, value) = match options.api_key_header {
            ApiKeyHeader::Bearer => (AUTHORIZATION, secret(&format!("Bearer {}", key.expose_secret()))?),
            ApiKeyHeader::ApiKey => (HeaderName::from_static("api-key"), secret(key.expose_secret())?),
            ApiKeyHeader::XApiKey => (HeaderName::from_static("x-api-key"), secret(key.expose_secret())?),
        };
        headers.insert(name, value);
    }
    for (name, value) in [("openai-organization", &options.organization), ("openai-project", &options.project)] {
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).map_err(invalid)?);
        }
    }
    for (name, value) in &options.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| {
            SeamError::new(ErrorKind::Invalid, format!("a header of the target {} is not allowed", options.name))
        })?;
        headers.insert(name, secret(value.expose_secret())?);
    }
    Ok(headers)
}

/// A client that goes exactly where it is told, once: no redirect, no proxy that was not configured, no retry.
fn client(options: &RemoteOptions, secure: bool) -> Result<Client, SeamError> {
    let mut builder = Client::builder()
        .user_agent(concat!("rejoinder/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        let proxy = reqwest::Proxy::all(proxy).map_err(|error| {
            SeamError::new(ErrorKind::Invalid, "the proxy cannot be used").caused_by(error.without_url())
        })?;
        builder = builder.proxy(proxy);
    }
    // A machine that only talks to its own model servers may have no root certificates at all.
    let needs_roots = secure || options.proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https"));
    builder = if needs_roots { builder } else { builder.tls_certs_only([]) };
    builder = builder.https_only(secure);
    builder.build().map_err(|error| {
        SeamError::new(ErrorKind::Unavailable, format!("no HTTP client for the target {}", options.name))
            .caused_by(error.without_url())
    })
}
