//! Local language models served to many callers.
