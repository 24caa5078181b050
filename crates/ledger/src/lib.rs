//! Durable state of Rejoinder: what was ingested, from where, with which outcome
