//! Which language model answers: local first, remote fallback, and nothing leaves the machine unless policy says so.

mod breaker;
mod budget;
mod metrics;

pub use breaker::{Breaker, BreakerConfig, BreakerHealth, BreakerState, Open, Permit};
pub use budget::{BudgetLeft, BudgetRule, Budgets, OverBudget, Period, Reservation};
pub use metrics::RouterMetrics;
