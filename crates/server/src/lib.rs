//! HTTP server of Rejoinder
