//! Finds personal data in text, replaces it by placeholders and puts it back.
//!
//! It stands in front of every call of a remote model that may see no personal data, so it is rules, checksums and the
//! names that the caller knows, no model: it takes well under a millisecond for a prompt, says the same every time, and
//! prefers to replace too much, for what it replaces comes back exactly.
//!
//! ```
//! use rejoinder_domain::Address;
//! use rejoinder_redaction::Redactor;
//!
//! let people = [Address { name: "Anna Weber".into(), email: "anna@weber.example".into() }];
//! let mut session = Redactor::default().session(&people);
//! let texts = ["From: anna@weber.example", "My IBAN is DE89 3704 0044 0532 0130 00. Anna Weber"];
//! texts.iter().for_each(|text| session.learn(text));
//! let sent: Vec<String> = texts.iter().map(|text| session.redact(text)).collect();
//! assert_eq!(sent, ["From: [EMAIL_1]", "My IBAN is [IBAN_1]. [PERSON_1]"]);
//! assert_eq!(session.restore("Dear [PERSON_1], [iban_1]?"), "Dear Anna Weber, [[check: IBAN]]?");
//! ```
//!
//! Invariants: after every text of a request was learnt, no value that was found in one of them stands in a redacted one,
//! as it is written or escaped for JSON, outside of the placeholders themselves (a name alone of fewer than five letters:
//! nowhere as a word, for `Tim` is part of `Time`); restoring a redacted text gives the text, byte by byte, however the
//! stream splits it; a placeholder that was not given out is never shown; time is linear in the text. The crate knows
//! nothing of models, providers and policies, keeps nothing beyond a session and logs nothing.
//!
//! What it does not find: names of people whom the caller does not name, places without street, postcode or label, what
//! is said in words (`four one one one`).
//!
//! Modules in reading order: `kind`, `redactor` (all detectors), `session`, `restorer`, `placeholder` (the form of
//! placeholders), `view` (how a text is read), `wrapped`, `token`, `lexicon`, `name`, `label`, `address` and `place`, `raw`,
//! `error`.

mod address;
mod error;
mod kind;
mod label;
mod lexicon;
mod name;
mod place;
mod placeholder;
mod raw;
mod redactor;
mod restorer;
mod session;
mod token;
mod view;
mod wrapped;

pub use error::RedactionError;
pub use kind::Kind;
pub use placeholder::PLACEHOLDER_NOTE;
pub use redactor::{Finding, RedactionOptions, Redactor};
pub use restorer::{Form, Restorer};
pub use session::Session;
