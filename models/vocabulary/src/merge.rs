//! Byte-pair merging: a piece of text to tokens.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::VocabularyError;
use crate::pieces::Pieces;

const MERGES: &str = "tokenizer.ggml.merges";
/// Above this many merges a file is not a model's.
const MERGES_LIMIT: usize = 1 << 22;
/// Marks the end of a chain of symbols, and a symbol that was merged away.
const NONE: usize = usize::MAX;

/// The merges of a vocabulary in order of rank (Sennrich et al. 2016, on bytes as in GPT-2).
#[derive(Debug)]
pub(crate) struct BytePairs {
    single: Box<[Option<u32>; 256]>,
    merges: HashMap<(u32, u32), Merge>,
    /// Ids of the plain tokens sorted by their bytes, where a piece that is a token needs no merges.
    whole: Option<Vec<u32>>,
}

#[derive(Clone, Copy, Debug)]
struct Merge {
    rank: u32,
    token: u32,
}

#[derive(Clone, Copy)]
struct Symbol {
    token: u32,
    previous: usize,
    next: usize,
}

impl BytePairs {
    /// Resolves `merges` (`left right`, best first) by `plain`: the plain tokens' texts in the file, and their ids.
    ///
    /// Only plain tokens take part, so that no text can become a control token, whatever the file lists.
    pub(crate) fn new(
        plain: &HashMap<&str, u32>,
        merges: &[&str],
        pieces: &Pieces,
        ignore_merges: bool,
    ) -> Result<Self, VocabularyError> {
        let mut single = Box::new([None; 256]);
        for &token in plain.values() {
            if let [byte] = *pieces.get(token)
                && let Some(slot) = single.get_mut(usize::from(byte))
            {
                *slot = Some(token);
            }
        }
        let mut resolved = HashMap::with_capacity(merges.len());
        let mut whole_text = String::new();
        for (rank, merge) in merges.iter().enumerate() {
            let unresolved = |part: &str| VocabularyError::Inconsistent {
                key: MERGES,
                reason: format!("entry {rank}: {part:.64?} is no plain token"),
            };
            let (left, right) = merge.split_once(' ').ok_or_else(|| VocabularyError::Inconsistent {
                key: MERGES,
                reason: format!("entry {rank} is not two tokens with a space between them"),
            })?;
            whole_text.clear();
            whole_text.push_str(left);
            whole_text.push_str(right);
            let id = |part: &str| plain.get(part).copied().ok_or_else(|| unresolved(part));
            let (pair, token) = ((id(left)?, id(right)?), id(&whole_text)?);
            resolved.entry(pair).or_insert(Merge { rank: rank as u32, token });
        }
        let whole = ignore_merges.then(|| {
            let mut ids: Vec<u32> = plain.values().copied().collect();
            ids.sort_unstable_by(|a, b| pieces.get(*a).cmp(pieces.get(*b)));
            ids
        });
        Ok(Self { single, merges: resolved, whole })
    }

    /// The most merges that are read.
    pub(crate) const fn limit() -> usize {
        MERGES_LIMIT
    }

    /// Whether there is a token for this byte alone.
    pub(crate) fn has(&self, byte: u8) -> bool {
        self.single.get(usize::from(byte)).is_some_and(Option::is_some)
    }

    /// Appends the tokens of one piece. Its bytes must all have a token, see [`BytePairs::has`].
    pub(crate) fn encode(&self, piece: &[u8], pieces: &Pieces, tokens: &mut Vec<u32>) {
        if let Some(whole) = &self.whole
            && let Ok(found) = whole.binary_search_by(|id| pieces.get(*id).cmp(piece))
        {
            tokens.extend(whole.get(found));
            return;
        }
        let mut symbols = self.symbols(piece);
        self.merge(&mut symbols);
        // The first symbol is never merged into another, so the chain begins with it.
        let mut at = 0;
        while let Some(symbol) = symbols.get(at) {
            tokens.push(symbol.token);
            at = symbol.next;
        }
    }

    fn symbols(&self, piece: &[u8]) -> Vec<Symbol> {
        let tokens = piece.iter().filter_map(|byte| self.single.get(usize::from(*byte)).copied().flatten());
        let mut symbols: Vec<Symbol> = tokens
            .enumerate()
            .map(|(at, token)| Symbol { token, previous: at.checked_sub(1).unwrap_or(NONE), next: at + 1 })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        symbols
    }

    /// Merges the pair of best rank, the leftmost first, until no pair can be merged. A heap keeps a piece of n bytes
    /// at n log n, since a mail may hold a megabyte without a blank.
    fn merge(&self, symbols: &mut [Symbol]) {
        let mut heap: BinaryHeap<Reverse<(u32, usize)>> = BinaryHeap::with_capacity(symbols.len());
        for at in 0..symbols.len() {
            heap.extend(self.merge_at(symbols, at).map(|merge| Reverse((merge.rank, at))));
        }
        while let Some(Reverse((rank, at))) = heap.pop() {
            // An entry is stale when its left or right symbol was merged with another neighbour meanwhile.
            let Some(merge) = self.merge_at(symbols, at).filter(|merge| merge.rank == rank) else { continue };
            let Some(left) = symbols.get(at).copied() else { continue };
            let Some(right) = symbols.get(left.next).copied() else { continue };
            if let Some(gone) = symbols.get_mut(left.next) {
                // A symbol without a right neighbour takes part in no merge.
                gone.next = NONE;
            }
            if let Some(merged) = symbols.get_mut(at) {
                *merged = Symbol { token: merge.token, previous: left.previous, next: right.next };
            }
            if let Some(after) = symbols.get_mut(right.next) {
                after.previous = at;
            }
            for start in [left.previous, at] {
                heap.extend(self.merge_at(symbols, start).map(|merge| Reverse((merge.rank, start))));
            }
        }
    }

    fn merge_at(&self, symbols: &[Symbol], at: usize) -> Option<Merge> {
        let left = symbols.get(at)?;
        let right = symbols.get(left.next)?;
        self.merges.get(&(left.token, right.token)).copied()
    }
}
