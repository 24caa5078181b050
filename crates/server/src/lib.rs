//! The HTTP API of Rejoinder: `POST /v1/suggest-reply`, `/v1/extract-attributes`, `/v1/search`,
//! the OpenAI-shaped routes, `/v1/usage`, `/v1/audit`, metrics, and health.
//!
//! A handler reads the request, makes one call of the library and converts the answer; nothing is decided here. The wire
//! types are separate from the library's, so that either can change without the other.
//!
//! ```no_run
//! use rejoinder::{Config, Rejoinder, TenantId};
//! use rejoinder_server::{Server, ServerConfig};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let rejoinder = Rejoinder::open(Config::new(TenantId::new("acme-finance")?, "data")).await?;
//! let server = Server::bind(rejoinder, ServerConfig::default()).await?;
//! println!("listening on http://{}", server.local_address());
//! server.join().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: without credentials it binds to loopback only; every error is an RFC 9457 problem (on
//! the OpenAI-shaped routes one in OpenAI's shape) with a stable code and never internal text; the log holds ids, never bodies.
//!
//! Modules in reading order: [`server`], [`config`], `routes`, `connection`, `tls`, `cors`, `auth`, `access`, `work`, `idempotency`, [`suggest`], `suggest_stream`, `live`, `suggestions`, `stats`, `messages`, `jobs`, `upload`, `schemas`, `subjects`, [`extract`], [`search`], `ticket`, `egress`, [`erase`], `health`,
//! `openai` (the OpenAI-shaped routes), `usage`, `audit`, `metrics`, `http_metrics`, `page`, `sse`, `trace`, `strict`, `openapi`, `docs`, [`problem`], `json`, [`request_id`].

pub mod config;
pub mod erase;
pub mod extract;
pub mod problem;
pub mod request_id;
pub mod search;
pub mod server;
pub mod suggest;

mod access;
mod audit;
mod auth;
mod connection;
mod cors;
mod docs;
mod egress;
mod health;
mod http_metrics;
mod idempotency;
mod jobs;
mod json;
mod live;
mod messages;
mod metrics;
mod openai;
mod openapi;
mod page;
mod routes;
mod schemas;
mod sse;
mod stats;
mod strict;
mod subjects;
mod suggest_stream;
mod suggestions;
mod ticket;
mod tls;
mod trace;
mod turn;
mod upload;
mod usage;
mod work;

pub use config::{OpenAiConfig, ServerConfig};
pub use connection::ConnectionConfig;
pub use cors::CorsConfig;
pub use openapi::openapi;
pub use problem::{InvalidField, Problem};
pub use server::{BindError, Control, Server};
pub use tls::{TlsConfig, TlsError};
