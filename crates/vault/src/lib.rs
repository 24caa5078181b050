//! Encryption at rest: envelope keys, sealed texts and blind search terms.
