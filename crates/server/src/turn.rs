//! Turns at the machine's processors.
//!
//! A place (`work`) says that a request is worked on; it may wait there for a model for a minute. What computes meanwhile would
//! share the processors with everything else that does, so that one tenant's flood of searches made everybody's slow. So few
//! requests compute at the same time, and a free turn goes to the tenant that had the least lately.

use std::sync::{Mutex, PoisonError};

use rejoinder::assist::{SuggestEvent, SuggestObserver};
use rejoinder_access::Permit;

/// How many requests compute at the same time, unless it is configured: one per processor.
pub(crate) fn by_processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A turn that ends with what was found: from then on a suggestion waits for a model.
pub(crate) struct UntilFound(Mutex<Option<Permit>>);

impl UntilFound {
    pub(crate) fn new(turn: Option<Permit>) -> Self {
        Self(Mutex::new(turn))
    }

    pub(crate) fn end(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl SuggestObserver for UntilFound {
    fn event(&self, _: SuggestEvent) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rejoinder::TenantId;
    use rejoinder::assist::{SuggestEvent, SuggestObserver as _};
    use rejoinder_access::Fair;

    use super::UntilFound;
    use crate::access::turn_options;

    #[tokio::test]
    async fn a_turn_ends_with_what_was_found_and_one_tenant_never_has_all() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let fair = Fair::new(turn_options(3, Duration::from_secs(20)));
        let flood = tenant("flood");
        let searching = UntilFound::new(Some(fair.enter(&flood).await.unwrap()));
        let other = fair.enter(&flood).await.unwrap();
        let waiting = fair.enter(&flood);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err());
        let calm = fair.enter(&tenant("calm")).await.unwrap();
        searching.event(SuggestEvent::Retrieval(Vec::new()));
        searching.event(SuggestEvent::Restart);
        drop(waiting.await.unwrap());
        drop((other, calm));
        assert_eq!(fair.load().running, 0);
    }
}
