//! Which language model answers: local first, remote fallback, and nothing leaves the machine unless policy says so.
//!
//! A [`Router`] is a [`rejoinder_domain::LanguageModel`] that asks others. For each question it orders its [`Target`]s by
//! purpose, tenant and rule, and asks them one after the other until one has answered: a target whose breaker is open, that
//! may not see the prompt, that cannot do what is asked or that nobody has the budget for is passed over; one that fails
//! is asked again or left for the next, by the kind of its failure alone. What was shown of an answer that broke off is
//! voided by `Restart`. Every attempt is told in the stream, kept in the [`rejoinder_domain::Journal`] and counted in the
//! metrics.
//!
//! ```
//! use std::sync::Arc;
//! use rejoinder_domain::{ChatMessage, ChatRole, GenerateRequest, Journal, LanguageModel, TenantId, language::collect};
//! use rejoinder_router::{Router, RouterConfig, RouterParts, Target, TargetOptions};
//!
//! async fn ask(local: Arc<dyn LanguageModel>, journal: Arc<dyn Journal>) -> Result<String, Box<dyn std::error::Error>> {
//!     let mut metrics = prometheus_client::registry::Registry::default();
//!     let targets = vec![Target { name: "local".into(), model: local, options: TargetOptions::local() }];
//!     let router = Router::new(RouterParts { config: RouterConfig::default(), targets, journal, metrics: &mut metrics })?;
//!     let messages = vec![ChatMessage::new(ChatRole::User, "Where is my refund?")];
//!     let request = GenerateRequest::new(TenantId::new("acme")?, messages, 200);
//!     Ok(collect(router.generate(request).await?).await?.0)
//! }
//! ```
//!
//! A router answers in tasks of its own: [`rejoinder_domain::LanguageModel::generate`] is to be called inside a tokio runtime.
//!
//! Invariants: a prompt goes to a remote target only if the tenant's policy, narrowed by the request, allows it, asked
//! again right before each sending; under `redact_then_remote` it goes with placeholders for personal data; nothing is
//! sent before its record is kept; what a call may cost is reserved before it and settled after; an answer that was shown in
//! part is finished by the same model or voided; an attempt ends once, also when its caller leaves; nothing of one tenant
//! is ever found by another; no log, metric or record holds text. The router knows no HTTP: targets are language models.
//!
//! Modules in reading order: `config`, `target`, `router` (the way in), `plan` (which targets), `answer` (from target to
//! target), `attempt` (one of them), `call` (the prompt and what of it leaves), `restore`, `validate`, `breaker`, `budget`,
//! `state`, `errors`, `flight` (one answer, many readers), `cache`, `metrics`, `trace`, `absent`.

mod absent;
mod answer;
mod attempt;
mod breaker;
mod budget;
mod cache;
mod call;
mod config;
mod errors;
mod flight;
mod metrics;
mod plan;
mod restore;
mod router;
mod state;
mod target;
mod trace;
mod validate;

pub use absent::AbsentModel;
pub use breaker::{Breaker, BreakerConfig, BreakerHealth, BreakerState, Open, Permit};
pub use budget::{BudgetLeft, BudgetRule, Budgets, OverBudget, Period, Reservation};
pub use config::{CacheConfig, HedgeConfig, OnRefusal, OrderConfig, RetryConfig, RouterConfig, Rule, TenantPolicy};
pub use metrics::RouterMetrics;
pub use rejoinder_redaction::RedactionOptions;
pub use router::{Router, RouterParts, TargetHealth};
pub use target::{Capabilities, Place, Price, Target, TargetOptions, Timeouts};
