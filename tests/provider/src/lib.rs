//! A language model provider on loopback that fails as its script says.
