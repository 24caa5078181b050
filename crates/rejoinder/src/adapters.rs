//! What the application asks for, answered by the parts that have it: messages from the ledger, cleaning from the mail
//! crate, vectors from a thread that may compute.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use rejoinder_assist::{MessageLookup, QueryEmbedder, TextCleaner, Timer};
use rejoinder_domain::{
    Embedder, ErrorKind, MailboxId, Message, MessageId, Role, SeamError, SegmentKind, Span, TenantId,
};
use rejoinder_ledger::{Ledger, LedgerError};
use sha2::{Digest as _, Sha256};

/// Messages by id, out of the ledger.
pub(crate) struct LedgerMessages(pub(crate) Arc<Ledger>);

impl MessageLookup for LedgerMessages {
    fn message(&self, tenant: &TenantId, id: &MessageId) -> Result<Option<Message>, SeamError> {
        self.0.message(tenant, id).map_err(seam)
    }

    fn mailboxes_of(&self, tenant: &TenantId, id: &MessageId) -> Result<Vec<(MailboxId, String)>, SeamError> {
        self.0.named_mailboxes_of(tenant, id).map_err(seam)
    }
}

fn seam(error: LedgerError) -> SeamError {
    SeamError::new(error.kind(), "the ledger could not be read").caused_by(error)
}

/// The cleaner that ingestion uses, so that a ticket is divided like the mail it is compared with.
pub(crate) struct MailCleaner;

impl TextCleaner for MailCleaner {
    fn readable(&self, html: &str) -> String {
        rejoinder_mail::html::to_text(html)
    }

    fn new_spans(&self, text: &str) -> Vec<Span> {
        let segments = rejoinder_mail::clean::segments(text);
        segments.into_iter().filter(|segment| segment.kind == SegmentKind::New).map(|segment| segment.span).collect()
    }

    fn language(&self, text: &str) -> Option<String> {
        rejoinder_mail::language::detect(text)
    }
}

/// tokio's clock.
pub(crate) struct RuntimeTimer;

impl Timer for RuntimeTimer {
    fn after(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// Embeds on tokio's blocking threads, so that the runtime goes on, and keeps vectors of texts that come again: the
/// same ticket asked for twice, the values of a schema's enums.
pub(crate) struct BlockingEmbedder {
    embedder: Arc<dyn Embedder>,
    kept: Cache<[u8; 32], Arc<KeptVector>>,
}

/// A vector and whose text it is of.
struct KeptVector {
    tenant: TenantId,
    vector: Vec<f32>,
}

/// How long a vector is kept after its last use.
const KEPT_FOR: Duration = Duration::from_hours(1);

impl BlockingEmbedder {
    /// Keeps `bytes` of vectors at most.
    pub(crate) fn new(embedder: Arc<dyn Embedder>, bytes: u64) -> Self {
        let weigh = |_: &[u8; 32], kept: &Arc<KeptVector>| {
            let bytes =
                kept.vector.len() * size_of::<f32>() + kept.tenant.as_str().len() + size_of::<KeptVector>() + 32;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self { embedder, kept: Cache::builder().max_capacity(bytes).weigher(weigh).time_to_idle(KEPT_FOR).build() }
    }

    /// Forgets the tenant's vectors.
    pub(crate) fn forget(&self, tenant: &TenantId) {
        let theirs = self.kept.iter().filter(|(_, kept)| kept.tenant == *tenant).map(|(key, _)| *key);
        for key in theirs.collect::<Vec<_>>() {
            self.kept.invalidate(&key);
        }
        self.kept.run_pending_tasks();
    }
}

/// The tenant is part of the key: what one has asked makes no answer to another faster.
fn vector_key(tenant: &TenantId, text: &str, role: Role) -> [u8; 32] {
    let role: &[u8] = match role {
        Role::Query => b"query",
        Role::Passage => b"passage",
    };
    let parts = [tenant.as_str().as_bytes(), role, text.as_bytes()];
    let hashed = parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part).chain_update([0]));
    hashed.finalize().into()
}

#[async_trait]
impl QueryEmbedder for BlockingEmbedder {
    fn id(&self) -> &str {
        self.embedder.id()
    }

    async fn embed(&self, tenant: &TenantId, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        let keys: Vec<[u8; 32]> = texts.iter().map(|text| vector_key(tenant, text, role)).collect();
        let found: Vec<Option<Arc<KeptVector>>> = keys.iter().map(|key| self.kept.get(key)).collect();
        let missing: Vec<String> =
            texts.into_iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(text, _)| text).collect();
        let mut fresh = if missing.is_empty() { Vec::new() } else { self.compute(missing, role).await? }.into_iter();
        let mut vectors = Vec::with_capacity(found.len());
        for (key, found) in keys.into_iter().zip(found) {
            let kept = if let Some(kept) = found {
                kept
            } else {
                let vector = fresh
                    .next()
                    .ok_or_else(|| SeamError::new(ErrorKind::Internal, "the embedder gave fewer vectors than texts"))?;
                let kept = Arc::new(KeptVector { tenant: tenant.clone(), vector });
                self.kept.insert(key, Arc::clone(&kept));
                kept
            };
            vectors.push(kept.vector.clone());
        }
        Ok(vectors)
    }
}

impl BlockingEmbedder {
    async fn compute(&self, texts: Vec<String>, role: Role) -> Result<Vec<Vec<f32>>, SeamError> {
        let embedder = Arc::clone(&self.embedder);
        let work = tokio::task::spawn_blocking(move || {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            embedder.embed(&texts, role)
        });
        work.await
            .map_err(|error| SeamError::new(ErrorKind::Internal, "the embedding thread failed").caused_by(error))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rejoinder_assist::QueryEmbedder as _;
    use rejoinder_domain::{Embedder, Role, SeamError, Span, TenantId};

    use super::BlockingEmbedder;

    /// Makes a vector of a text's length and counts texts.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Embedder for Counting {
        fn id(&self) -> &'static str {
            "counting"
        }

        fn dims(&self) -> usize {
            1
        }

        fn max_tokens(&self) -> usize {
            100
        }

        fn token_spans(&self, _: &str) -> Result<Vec<Span>, SeamError> {
            Ok(Vec::new())
        }

        fn embed(&self, texts: &[&str], _: Role) -> Result<Vec<Vec<f32>>, SeamError> {
            self.0.fetch_add(texts.len(), Ordering::SeqCst);
            Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
        }
    }

    #[tokio::test]
    async fn a_text_that_comes_again_is_not_computed_again_unless_for_another_tenant() {
        let counting = Arc::new(Counting::default());
        let embedder = BlockingEmbedder::new(Arc::clone(&counting) as Arc<dyn Embedder>, 1 << 20);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (acme, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let asked = [
            (&acme, texts(&["a", "bb"]), Role::Query, 2),
            (&acme, texts(&["bb", "ccc", "a"]), Role::Query, 3),
            (&acme, texts(&["a"]), Role::Passage, 4),
            (&other, texts(&["a"]), Role::Query, 5),
        ];
        for (tenant, texts, role, computed) in asked {
            let lengths: Vec<Vec<f32>> = texts.iter().map(|text| vec![text.len() as f32]).collect();
            assert_eq!(embedder.embed(tenant, texts, role).await.unwrap(), lengths);
            assert_eq!(counting.0.load(Ordering::SeqCst), computed);
        }
        embedder.forget(&acme);
        embedder.embed(&acme, texts(&["a"]), Role::Query).await.unwrap();
        embedder.embed(&other, texts(&["a"]), Role::Query).await.unwrap();
        assert_eq!(counting.0.load(Ordering::SeqCst), 6);
    }
}
