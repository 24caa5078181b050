//! Tenants in turn: who sends many requests delays another tenant's next one by no more than one of his own.
//!
//! Start-time fair queueing (Goyal, Vin and Cheng, 1996) with every request of the same weight: a request's turn is the one
//! after the tenant's last, or the present one where the tenant had nothing waiting. Lower turns go first.

use std::collections::HashMap;

use rejoinder_domain::{Priority, TenantId};

/// Gives turns to requests as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// The turn that was served last.
    now: u64,
    /// Every tenant's last turn, where it is still to come; people's and programs' requests count by themselves.
    last: HashMap<(TenantId, Priority), u64>,
}

impl Turns {
    /// The turn of a tenant's next request.
    pub(crate) fn take(&mut self, tenant: &TenantId, priority: Priority) -> u64 {
        let last = self.last.entry((tenant.clone(), priority)).or_insert(self.now);
        *last = self.now.max(*last) + 1;
        *last
    }

    /// A request of the tenant is gone before it was served.
    pub(crate) fn give_back(&mut self, tenant: &TenantId, priority: Priority) {
        if let Some(last) = self.last.get_mut(&(tenant.clone(), priority)) {
            *last = last.saturating_sub(1);
        }
    }

    /// A request of this turn is served.
    pub(crate) fn serve(&mut self, turn: u64) {
        self.now = self.now.max(turn);
        self.last.retain(|_, last| *last > self.now);
    }
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::{Priority, TenantId};

    use super::Turns;

    #[test]
    fn one_that_comes_late_goes_after_one_of_each() {
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let mut turns = Turns::default();
        let mut take = |name: &str| turns.take(&tenant(name), Priority::Interactive);
        assert_eq!(["a", "a", "a", "b", "c", "b"].map(&mut take), [1, 2, 3, 1, 1, 2]);
        turns.serve(2);
        // Who comes again later has no credit for the time in which he asked nothing.
        assert_eq!(turns.take(&tenant("c"), Priority::Interactive), 3);
        assert_eq!(turns.take(&tenant("a"), Priority::Interactive), 4);
        assert_eq!(turns.take(&tenant("a"), Priority::Batch), 3);
        turns.give_back(&tenant("a"), Priority::Interactive);
        assert_eq!(turns.take(&tenant("a"), Priority::Interactive), 4);
        turns.serve(4);
        assert!(turns.last.is_empty());
    }
}
