//! Which language model answers: local first, remote fallback, egress policy, breaker, budgets.
