//! The seam to where egress and usage of language models are kept.

use std::collections::BTreeMap;

use crate::{Cost, Egress, Purpose, SeamError, TenantId};
use async_trait::async_trait;
use jiff::Timestamp;

/// Names one attempt, in the audit and in the account of usage.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub String);

/// What is about to leave the machine. It holds no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// When.
    pub at: Timestamp,
    /// Whose text it is.
    pub tenant: TenantId,
    /// The request that caused it.
    pub request_id: String,
    /// What for.
    pub purpose: Purpose,
    /// The target's name.
    pub provider: String,
    /// The model that is asked.
    pub model: String,
    /// The policy that allows it.
    pub policy: Egress,
    /// UTF-8 bytes of the prompt: messages, tools and schema as they leave.
    pub bytes: u64,
    /// How many different values of each kind were replaced by placeholders.
    pub redactions: BTreeMap<String, u32>,
    /// What is reserved for it; it counts as spent as long as no [`UsageRecord`] of the attempt says what was.
    pub reserved: Spending,
}

/// Tokens and money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Tokens of prompts and answers together.
    pub tokens: u64,
    /// Money.
    pub cost: Cost,
}

/// What one attempt used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The attempt.
    pub attempt: AttemptId,
    /// When it ended.
    pub at: Timestamp,
    /// Who pays.
    pub tenant: TenantId,
    /// The request that caused it.
    pub request_id: String,
    /// What for.
    pub purpose: Purpose,
    /// The target's name; `local` for the local model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The stable code of what became of it.
    pub outcome: String,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Those of them that the provider did not have to compute.
    pub cached_input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// What it cost.
    pub cost: Cost,
    /// Milliseconds it took.
    pub ms: u64,
    /// Milliseconds until the first text.
    pub first_token_ms: Option<u64>,
}

/// What was spent in a time, by whom, for what and where. Attempts without a [`UsageRecord`] count with their reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Who.
    pub tenant: TenantId,
    /// What for.
    pub purpose: Purpose,
    /// The target's name.
    pub provider: String,
    /// How much.
    pub spending: Spending,
}

/// Where egress and usage are kept.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Keeps the record. Nothing is sent before this returns, and nothing is sent where it fails; afterwards the record
    /// outlives the death of the process.
    async fn egress(&self, record: EgressRecord) -> Result<(), SeamError>;

    /// Keeps what an attempt used. Does not wait; records are written in order and soon.
    fn usage(&self, record: UsageRecord);

    /// Sums since `since`, to go on with budgets after a restart. Blocks.
    fn spent(&self, since: Timestamp) -> Result<Vec<Spent>, SeamError>;
}
