//! Who may call and how much each tenant may use: the parts that are shared by all requests.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use rejoinder::TenantId;
use rejoinder_access::{
    AuthConfig, Authenticator, Fair, FairOptions, KeyStore, Limit, Limited, LimitsConfig, LimitsOverride, Load, Permit,
    Principal, Quantity, RateLimiter, SystemClock, Taken,
};

use crate::problem::Problem;
use crate::server::{App, BindError};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Credentials, allowances and places.
pub(crate) struct Access {
    keys: Arc<KeyStore>,
    authenticator: Authenticator,
    /// Whether a credential was there when the server was bound. From then on one is always needed: revoking the last key
    /// must lock everybody out, not let everybody in.
    needed: bool,
    limiter: RateLimiter,
    fair: Fair,
    options: FairOptions,
    /// Who computes; who has a place in `fair` may wait for a model there.
    turns: Fair,
}

impl Access {
    pub(crate) fn open(
        keys: KeyStore,
        auth: &AuthConfig,
        limits: &LimitsConfig,
        (places, turns): (usize, usize),
        longest_wait: Duration,
    ) -> Result<Self, BindError> {
        let keys = Arc::new(keys);
        let wrong = |error: rejoinder_access::ConfigError| BindError::Config(error.to_string());
        limits.validate().map_err(wrong)?;
        let authenticator = Authenticator::new(Arc::clone(&keys), auth).map_err(wrong)?;
        // A key that expired or was revoked still says that this server is not for everybody who reaches it.
        let needed = !auth.issuers.is_empty() || !keys.list(None).map_err(BindError::Keys)?.is_empty();
        let limits = Arc::new(limits.clone());
        let places = NonZeroUsize::new(places).unwrap_or(NonZeroUsize::MIN);
        let options = FairOptions { places, longest_wait, limits: Arc::clone(&limits) };
        let turns = Fair::new(turn_options(turns, longest_wait));
        Ok(Self {
            keys,
            authenticator,
            needed,
            limiter: RateLimiter::new(limits, Arc::new(SystemClock)),
            fair: Fair::new(options.clone()),
            options,
            turns,
        })
    }

    /// What checks credentials; `None` where none is configured, and the caller is whoever sits at this machine.
    pub(crate) fn authenticator(&self) -> Option<&Authenticator> {
        // A first key that is made while the server runs closes it at once.
        let needed = self.needed || self.keys.active(Timestamp::now()).map_or(true, |keys| keys > 0);
        needed.then_some(&self.authenticator)
    }

    /// Whether credentials were configured when the server was bound.
    pub(crate) fn needed(&self) -> bool {
        self.needed
    }

    /// What is wrong with the identity providers.
    pub(crate) fn notes(&self) -> Vec<String> {
        let ill = self.authenticator.health().into_iter().filter_map(|issuer| {
            let what = if issuer.keys == 0 { "there are none" } else { "older ones are used" };
            issuer.failing.then(|| format!("the keys of the issuer {} cannot be fetched: {what}", issuer.issuer))
        });
        ill.collect()
    }

    /// Takes what is in force from now on.
    pub(crate) fn reconfigure(&self, auth: &AuthConfig, limits: &LimitsConfig) -> Result<(), String> {
        limits.validate().map_err(|error| error.to_string())?;
        self.authenticator.reconfigure(auth).map_err(|error| error.to_string())?;
        let limits = Arc::new(limits.clone());
        self.limiter.reconfigure(Arc::clone(&limits));
        self.fair.reconfigure(FairOptions { limits, ..self.options.clone() });
        Ok(())
    }

    /// Takes from the tenant's allowance.
    pub(crate) fn take(&self, tenant: &TenantId, quantity: Quantity, amount: u64) -> Result<Option<Taken>, Problem> {
        self.limiter.take(tenant, quantity, amount).map_err(|limited| Problem::of_limit(&limited))
    }

    /// Notes tokens that models read and wrote for the tenant.
    pub(crate) fn charge_tokens(&self, tenant: &TenantId, tokens: u64) {
        self.limiter.charge(tenant, Quantity::Tokens, tokens);
    }

    /// How many requests work and wait.
    pub(crate) fn load(&self) -> Load {
        self.fair.load()
    }

    /// A place to work at, waited for in the tenant's turn.
    pub(crate) async fn enter(&self, tenant: &TenantId) -> Result<Permit, Problem> {
        self.fair.enter(tenant).await.map_err(|busy| Problem::busy(busy.retry_after))
    }

    /// A turn at the processors, for a stretch of work that waits for no model. Who has one must not ask for another.
    pub(crate) async fn turn(&self, tenant: &TenantId) -> Result<Permit, Problem> {
        self.turns.enter(tenant).await.map_err(|busy| Problem::busy(busy.retry_after))
    }
}

/// So many turns at a time, one fewer for one tenant, and as many waiting as have places.
pub(crate) fn turn_options(turns: usize, longest_wait: Duration) -> FairOptions {
    let turns = NonZeroUsize::new(turns).unwrap_or(NonZeroUsize::MIN);
    let of_one = Limit::AtMost(turns.get().saturating_sub(1).max(1) as u64);
    let each = LimitsOverride {
        concurrent_requests: Some(of_one),
        queue_length: Some(Limit::Unlimited),
        ..LimitsOverride::default()
    };
    let limits = Arc::new(LimitsConfig { default: each, ..LimitsConfig::default() });
    FairOptions { places: turns, longest_wait, limits }
}

impl Problem {
    fn of_limit(limited: &Limited) -> Self {
        let wait = limited.retry_after;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let mut problem = Self::rate_limited(limited.to_string(), seconds);
        problem.allowance(limited.state);
        problem
    }
}

/// Middleware of every route with a tenant: one request from its allowance, which the answer's headers tell.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(tenant) = request.extensions().get::<Principal>().map(|principal| principal.tenant.clone()) else {
        return Problem::internal().into_response();
    };
    match app.access.take(&tenant, Quantity::Requests, 1) {
        Ok(taken) => {
            let mut response = next.run(request).await;
            if let Some(taken) = taken {
                tell(response.headers_mut(), taken);
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// Middleware of routes that have models work: nothing is begun while the tenant owes tokens.
pub(crate) async fn tokens(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let tenant = request.extensions().get::<Principal>().map(|principal| principal.tenant.clone());
    match tenant.ok_or_else(Problem::internal).and_then(|tenant| app.access.take(&tenant, Quantity::Tokens, 0)) {
        Ok(_) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Writes the headers of an allowance, unless a narrower one stands there.
pub(crate) fn tell(headers: &mut HeaderMap, taken: Taken) {
    if headers.contains_key(LIMIT) {
        return;
    }
    let reset = taken.reset.as_secs() + u64::from(taken.reset.subsec_nanos() > 0);
    for (name, value) in [(LIMIT, taken.limit), (REMAINING, taken.remaining), (RESET, reset)] {
        headers.insert(name, HeaderValue::from(value));
    }
}
