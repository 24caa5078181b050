//! Local language models served to many callers.

mod engine;
mod error;
mod form;
mod local;
mod lookup;
mod metrics;
mod options;
mod prefix;
mod prepare;
mod queue;
mod sampler;
mod scheduler;
mod sequence;
mod step;
mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use error::ServingError;
pub use local::{LocalModel, Shutdown};
pub use metrics::{Metrics, Waits};
pub use options::ServingOptions;
