//! Beginnings of earlier requests, kept so that they need not be computed again.

use rejoinder_domain::TenantId;

use crate::engine::EngineCache;

/// Caches of finished requests, least recently used out first, within a number of bytes.
///
/// Nothing of one tenant is ever found for another, and not even the time that an answer takes tells whether another
/// tenant asked the same.
#[derive(Debug)]
pub(crate) struct PrefixStore<C> {
    entries: Vec<Entry<C>>,
    most_bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry<C> {
    tenant: TenantId,
    tokens: Vec<u32>,
    cache: C,
    /// The instructions, which every request of the tenant begins with.
    system: bool,
    used: u64,
}

impl<C: EngineCache> PrefixStore<C> {
    /// An empty store of at most `most_bytes`; pages that entries share are counted for each.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { entries: Vec::new(), most_bytes, uses: 0 }
    }

    /// A cache of the longest known beginning of `tokens` but for the last one, whose logits are needed.
    pub(crate) fn find(&mut self, tenant: &TenantId, tokens: &[u32]) -> Option<C> {
        self.uses += 1;
        let most = tokens.len().saturating_sub(1);
        let mut best: Option<(usize, usize)> = None;
        for (index, entry) in self.entries.iter_mut().enumerate().filter(|(_, entry)| entry.tenant == *tenant) {
            let common = common_prefix(&entry.tokens, tokens).min(most);
            if entry.system && common == entry.tokens.len() {
                entry.used = self.uses;
            }
            if common > best.map_or(0, |(length, _)| length) {
                best = Some((common, index));
            }
        }
        let (length, index) = best?;
        let entry = self.entries.get_mut(index)?;
        entry.used = self.uses;
        let mut cache = entry.cache.fork();
        cache.truncate(length);
        Some(cache)
    }

    /// Keeps the cache of `tokens`, one per token. What is a beginning of it goes, unless it is a system prompt.
    pub(crate) fn insert(&mut self, tenant: &TenantId, tokens: Vec<u32>, cache: C, system: bool) {
        if tokens.is_empty() || tokens.len() != cache.len() || cache.bytes() > self.most_bytes {
            return;
        }
        self.uses += 1;
        for entry in self.entries.iter_mut().filter(|entry| entry.tenant == *tenant) {
            let covers =
                if system { entry.system && entry.tokens == tokens } else { entry.tokens.starts_with(&tokens) };
            if covers {
                entry.used = self.uses;
                return;
            }
        }
        self.entries
            .retain(|entry| entry.system || system || entry.tenant != *tenant || !tokens.starts_with(&entry.tokens));
        self.entries.push(Entry { tenant: tenant.clone(), tokens, cache, system, used: self.uses });
        while self.bytes() > self.most_bytes && self.evict() {}
    }

    /// Drops the entry that is worth least. Whether there was one.
    pub(crate) fn evict(&mut self) -> bool {
        let system: usize = self.entries.iter().filter(|entry| entry.system).map(|entry| entry.cache.bytes()).sum();
        // Many tenants' instructions must not drive out every conversation.
        let prefer_system = system <= self.most_bytes / 2;
        let worst = self
            .entries
            .iter()
            .enumerate()
            .min_by_key(|(_, entry)| (entry.system && prefer_system, entry.used))
            .map(|(index, _)| index);
        if let Some(index) = worst {
            self.entries.swap_remove(index);
        }
        worst.is_some()
    }

    /// Drops everything of `tenant`.
    pub(crate) fn forget(&mut self, tenant: &TenantId) {
        self.entries.retain(|entry| entry.tenant != *tenant);
    }

    /// Bytes of all entries; what they share is counted for each.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.cache.bytes()).sum()
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// How many tokens at the beginning are equal.
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::TenantId;

    use super::PrefixStore;
    use crate::engine::EngineCache;

    /// A cache of one byte a token.
    struct Tokens(usize);

    impl EngineCache for Tokens {
        fn len(&self) -> usize {
            self.0
        }
        fn truncate(&mut self, len: usize) {
            self.0 = self.0.min(len);
        }
        fn fork(&self) -> Self {
            Self(self.0)
        }
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    fn found(store: &mut PrefixStore<Tokens>, name: &str, tokens: &[u32]) -> usize {
        store.find(&tenant(name), tokens).map_or(0, |cache| cache.len())
    }

    fn keep(store: &mut PrefixStore<Tokens>, name: &str, tokens: &[u32], system: bool) {
        store.insert(&tenant(name), tokens.to_vec(), Tokens(tokens.len()), system);
    }

    #[test]
    fn the_longest_beginning_of_the_same_tenant_is_found() {
        let mut store = PrefixStore::new(100);
        keep(&mut store, "a", &[1, 2, 3, 4], false);
        keep(&mut store, "a", &[1, 2, 9], false);
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 7, 8]), 3);
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 4]), 3, "the last token is always computed");
        assert_eq!(found(&mut store, "a", &[5]), 0);
        assert_eq!(found(&mut store, "b", &[1, 2, 3, 4, 5]), 0);
    }

    #[test]
    fn a_conversation_that_grows_replaces_itself() {
        let mut store = PrefixStore::new(100);
        keep(&mut store, "a", &[1, 2], true);
        keep(&mut store, "a", &[1, 2, 3], false);
        keep(&mut store, "a", &[1, 2, 3, 4, 5], false);
        keep(&mut store, "a", &[1, 2, 3, 4], false);
        keep(&mut store, "a", &[1, 2], true);
        assert_eq!(store.len(), 2, "the instructions and the longest");
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 4, 5, 6]), 5);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_instructions_last() {
        let mut store = PrefixStore::new(10);
        keep(&mut store, "a", &[1, 2, 3], true);
        keep(&mut store, "b", &[4, 5, 6], false);
        keep(&mut store, "c", &[7, 8, 9], false);
        assert_eq!(found(&mut store, "b", &[4, 5, 6, 0]), 3);
        keep(&mut store, "d", &[10, 11, 12], false);
        assert_eq!(found(&mut store, "c", &[7, 8, 9, 0]), 0, "c was used least recently");
        assert_eq!(found(&mut store, "b", &[4, 5, 6, 0]), 3);
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 0]), 3);
        keep(&mut store, "e", &[0; 11], false);
        assert_eq!(found(&mut store, "e", &[0; 12]), 0, "larger than the store");
        assert!(store.bytes() <= 10);
    }

    #[test]
    fn instructions_keep_at_most_half() {
        let mut store = PrefixStore::new(10);
        keep(&mut store, "a", &[1, 2, 3], true);
        keep(&mut store, "b", &[1, 2, 3], true);
        keep(&mut store, "c", &[1, 2, 3], false);
        assert_eq!(store.len(), 3);
        keep(&mut store, "d", &[1, 2, 3], false);
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 0]), 0, "six of ten bytes were instructions");
        assert_eq!(found(&mut store, "b", &[1, 2, 3, 0]), 3);
        assert_eq!(found(&mut store, "c", &[1, 2, 3, 0]), 3);
    }

    #[test]
    fn a_tenant_is_forgotten() {
        let mut store = PrefixStore::new(10);
        keep(&mut store, "a", &[1, 2, 3], true);
        keep(&mut store, "b", &[1, 2, 3], false);
        store.forget(&tenant("a"));
        assert_eq!(found(&mut store, "a", &[1, 2, 3, 4]), 0);
        assert_eq!(found(&mut store, "b", &[1, 2, 3, 4]), 3);
        assert!(store.evict());
        assert!(!store.evict());
    }
}
