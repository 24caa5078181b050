//! Where an issuer's keys come from, and when they are fetched.
//!
//! * Young keys are used as they are. Shortly before they reach their greatest age they are fetched again beside the requests;
//!   after it, requests wait for that, so that a key that the provider withdrew is never used for longer.
//! * A token with an unknown key id has the keys fetched, which is how a rotation is noticed at once. At most one such fetch is
//!   made in `min_refresh_seconds`, however many ids are made up.
//! * While the provider cannot be reached, the keys that were fetched last are used until they are `max_stale_seconds` old. Who
//!   comes within a minute of a failed fetch does not wait for the next.
//! * One fetch at a time. It is a task of its own, so that a caller who hangs up does not take it along.

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::config::{Location, Timing};
use crate::jwks::{KeySet, LONGEST_DOCUMENT};
use crate::{AuthError, Clock, ConfigError, IssuerConfig};

/// After a failure, the next try may come this early, so that a server that starts before its provider is not blind for long.
const RETRY: Duration = Duration::from_secs(2);

/// How long a failure says that the provider is down. Later, requests wait for a new try: after an idle night, the keys of
/// the evening must not be used because one fetch failed then.
const DOWN_FOR: Duration = Duration::from_mins(1);

/// The keys of one issuer.
pub(crate) struct KeySource {
    issuer: String,
    place: Place,
    timing: Timing,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

enum Place {
    Url { url: reqwest::Url, client: reqwest::Client },
    File(PathBuf),
}

#[derive(Default)]
struct State {
    fetched: Option<Fetched>,
    tried_at: Option<Instant>,
    /// When the last try failed, if it did.
    failed_at: Option<Instant>,
    /// The other end is dropped when the fetch is over.
    under_way: Option<watch::Receiver<()>>,
}

struct Fetched {
    set: Arc<KeySet>,
    at: Instant,
}

/// How an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerHealth {
    /// The issuer as configured.
    pub issuer: String,
    /// Keys that can be used; 0 when there are none or they are too old.
    pub keys: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// Whether the last try to fetch them failed.
    pub failing: bool,
}

enum Step {
    Use(Arc<KeySet>),
    Wait(watch::Receiver<()>),
    Refuse(AuthError),
}

/// Why a fetch failed, for the log.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the request for the keys failed")]
    Request(#[source] reqwest::Error),
    #[error("the request for the keys was answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the file of keys cannot be read")]
    File(#[source] std::io::Error),
    #[error("the reading of the file of keys was given up")]
    GivenUp,
    #[error("{0}")]
    Document(&'static str),
}

impl KeySource {
    pub(crate) fn new(config: &IssuerConfig, clock: Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let timing = config.timing();
        let place = match config.location()? {
            Location::File(file) => Place::File(file),
            Location::Url(url) => {
                let client = client(config, &url, timing.timeout)
                    .map_err(|source| ConfigError::Client { issuer: config.issuer.clone(), source })?;
                Place::Url { url, client }
            }
        };
        Ok(Self { issuer: config.issuer.clone(), place, timing, clock, state: Mutex::new(State::default()) })
    }

    /// The keys, if `wanted` is satisfied with them, fetched first where that can help. Inside a tokio runtime.
    pub(crate) async fn find(
        self: &Arc<Self>,
        wanted: impl Fn(&Arc<KeySet>) -> bool,
    ) -> Result<Arc<KeySet>, AuthError> {
        // One wait is the rule. A second comes when the fetch that was waited for was cut off by the end of a runtime.
        for _ in 0..2 {
            let mut fetch = match self.step(&wanted) {
                Step::Use(set) => return Ok(set),
                Step::Refuse(error) => return Err(error),
                Step::Wait(fetch) => fetch,
            };
            while fetch.changed().await.is_ok() {}
        }
        match self.step(&wanted) {
            Step::Use(set) => Ok(set),
            Step::Refuse(error) => Err(error),
            Step::Wait(_) => Err(AuthError::Unavailable("keys of the issuer")),
        }
    }

    pub(crate) fn health(&self) -> IssuerHealth {
        let now = self.clock.monotonic();
        let state = self.lock();
        let age = state.fetched.as_ref().map(|fetched| now.saturating_duration_since(fetched.at));
        let usable = state.fetched.as_ref().filter(|_| age.is_some_and(|age| age < self.timing.max_stale));
        IssuerHealth {
            issuer: self.issuer.clone(),
            keys: usable.map_or(0, |fetched| fetched.set.len()),
            age,
            failing: state.failed_at.is_some(),
        }
    }

    fn step(self: &Arc<Self>, wanted: impl Fn(&Arc<KeySet>) -> bool) -> Step {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        let under_way = state.under_way.clone().filter(|fetch| fetch.has_changed().is_ok());
        let pause =
            if state.failed_at.is_some() { RETRY.min(self.timing.min_refresh) } else { self.timing.min_refresh };
        let may_fetch = under_way.is_none()
            && state.tried_at.is_none_or(|tried_at| now.saturating_duration_since(tried_at) >= pause);
        let usable = state.fetched.as_ref().and_then(|fetched| {
            let age = now.saturating_duration_since(fetched.at);
            (age < self.timing.max_stale).then(|| (Arc::clone(&fetched.set), age))
        });
        if let Some((set, age)) = &usable
            && wanted(set)
        {
            let is_down = state.failed_at.is_some_and(|failed_at| now.saturating_duration_since(failed_at) < DOWN_FOR);
            if *age >= self.timing.max_age && !is_down {
                return Step::Wait(under_way.unwrap_or_else(|| self.begin(&mut state, now)));
            }
            if may_fetch && *age >= self.timing.max_age.mul_f32(0.75) {
                self.begin(&mut state, now);
            }
            return Step::Use(Arc::clone(set));
        }
        if let Some(fetch) = under_way {
            return Step::Wait(fetch);
        }
        if may_fetch {
            return Step::Wait(self.begin(&mut state, now));
        }
        if usable.is_none() || state.failed_at.is_some() {
            return Step::Refuse(AuthError::Unavailable("keys of the issuer"));
        }
        Step::Refuse(AuthError::Invalid("no such signing key"))
    }

    fn begin(self: &Arc<Self>, state: &mut State, now: Instant) -> watch::Receiver<()> {
        let (done, receiver) = watch::channel(());
        state.tried_at = Some(now);
        state.under_way = Some(receiver.clone());
        let source = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = source.fetch().await;
            source.settle(outcome);
            drop(done);
        });
        receiver
    }

    fn settle(&self, outcome: Result<KeySet, FetchError>) {
        let at = self.clock.monotonic();
        let mut state = self.lock();
        match outcome {
            Ok(set) => {
                tracing::debug!(issuer = %self.issuer, keys = set.len(), "the keys of an issuer were fetched");
                state.fetched = Some(Fetched { set: Arc::new(set), at });
                state.failed_at = None;
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(issuer = %self.issuer, error, "the keys of an issuer could not be fetched");
                state.failed_at = Some(at);
            }
        }
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let document = match &self.place {
            Place::Url { url, client } => download(client, url.clone()).await?,
            Place::File(file) => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || read(&file)).await.map_err(|_| FetchError::GivenUp)??
            }
        };
        KeySet::parse(&document).map_err(FetchError::Document)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is whole by itself, so a thread that died with the lock left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client that goes exactly where it is told: no redirect, no proxy that was not configured.
fn client(config: &IssuerConfig, url: &reqwest::Url, timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    let secure = url.scheme() == "https";
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("rejoinder/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .https_only(secure)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .no_proxy();
    if let Some(proxy) = &config.proxy {
        builder = builder.proxy(reqwest::Proxy::all(proxy)?);
    }
    // A machine whose provider is on loopback may have no root certificates at all.
    let needs_roots = secure || config.proxy.as_ref().is_some_and(|proxy| proxy.starts_with("https"));
    if !needs_roots {
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

async fn download(client: &reqwest::Client, url: reqwest::Url) -> Result<Vec<u8>, FetchError> {
    let failed = |error: reqwest::Error| FetchError::Request(error.without_url());
    let request = client.get(url).header(reqwest::header::ACCEPT, "application/jwk-set+json, application/json");
    let mut response = request.send().await.map_err(failed)?;
    if response.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let mut document = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if document.len() + chunk.len() > LONGEST_DOCUMENT {
            return Err(FetchError::Document("the key set is longer than 1 MiB"));
        }
        document.extend_from_slice(&chunk);
    }
    Ok(document)
}

/// One byte more than is allowed is enough to see that there is more.
fn read(path: &std::path::Path) -> Result<Vec<u8>, FetchError> {
    let file = std::fs::File::open(path).map_err(FetchError::File)?;
    let mut document = Vec::new();
    file.take(LONGEST_DOCUMENT as u64 + 1).read_to_end(&mut document).map_err(FetchError::File)?;
    Ok(document)
}
