//! Keys and values of what was computed, in pages that sequences can share.
//!
//! A page holds [`PAGE_TOKENS`] positions of all layers. A fork shares the pages of its origin; a page that is shared is
//! copied before it is written. All pages come from one pool of bounded size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::DecoderError;
use crate::kernels::attention::{Element, PAGE, PagePart};
use crate::kernels::lanes::Lanes;
use crate::kernels::{Kernel, LANES};

/// Positions of a page.
pub const PAGE_TOKENS: usize = PAGE;

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePrecision {
    /// 16 bits (IEEE 754 binary16): half the memory, an error of about 0.05 % in every key and value.
    #[default]
    Half,
    /// 32 bits.
    Single,
}

/// The memory for all caches of a decoder.
#[derive(Clone, Debug)]
pub struct CachePool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    layout: Layout,
    max_bytes: usize,
    used_pages: AtomicUsize,
}

/// Sizes of a page's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) layers: usize,
    /// Key-value heads.
    pub(crate) heads: usize,
    /// Values of a head.
    pub(crate) width: usize,
    pub(crate) precision: CachePrecision,
}

impl Layout {
    /// Values of one head of one layer: its keys, then its values.
    fn head_values(&self) -> usize {
        2 * PAGE * self.width
    }

    fn page_values(&self) -> usize {
        self.layers * self.heads * self.head_values()
    }

    fn page_bytes(&self) -> usize {
        let value = match self.precision {
            CachePrecision::Half => 2,
            CachePrecision::Single => 4,
        };
        self.page_values() * value
    }
}

impl CachePool {
    pub(crate) fn layout(&self) -> Layout {
        self.0.layout
    }

    pub(crate) fn new(layout: Layout, max_bytes: usize) -> Self {
        Self(Arc::new(Pool { layout, max_bytes, used_pages: AtomicUsize::new(0) }))
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        Cache { pool: Arc::clone(&self.0), pages: Vec::new(), length: 0 }
    }

    /// Bytes of all pages that exist; a page that several caches share counts once.
    pub fn used_bytes(&self) -> usize {
        self.0.used_pages.load(Ordering::Relaxed) * self.0.layout.page_bytes()
    }

    /// Bytes that pages may take.
    pub fn max_bytes(&self) -> usize {
        self.0.max_bytes
    }

    /// Bytes of one page of [`PAGE_TOKENS`] positions.
    pub fn page_bytes(&self) -> usize {
        self.0.layout.page_bytes()
    }
}

impl Pool {
    /// A page of zeros, if there is room for one.
    fn page(self: &Arc<Self>) -> Result<Page, DecoderError> {
        let page_bytes = self.layout.page_bytes();
        let taken = self.used_pages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            ((used + 1) * page_bytes <= self.max_bytes).then_some(used + 1)
        });
        if let Err(used) = taken {
            return Err(DecoderError::PoolFull {
                needed: page_bytes,
                free: self.max_bytes.saturating_sub(used * page_bytes),
            });
        }
        let length = self.layout.page_values();
        let values = match self.layout.precision {
            CachePrecision::Half => Values::Half(vec![0; length]),
            CachePrecision::Single => Values::Single(vec![0.0; length]),
        };
        Ok(Page { values, pool: Arc::clone(self) })
    }
}

#[derive(Debug)]
struct Page {
    values: Values,
    pool: Arc<Pool>,
}

#[derive(Clone, Debug)]
pub(crate) enum Values {
    Half(Vec<u16>),
    Single(Vec<f32>),
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.used_pages.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a decoder keeps of one sequence. Dropping it gives its memory back.
#[derive(Debug)]
pub struct Cache {
    pool: Arc<Pool>,
    pages: Vec<Arc<Page>>,
    length: usize,
}

impl Cache {
    /// Tokens.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it holds no tokens.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets all but the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        if length < self.length {
            self.length = length;
            self.pages.truncate(length.div_ceil(PAGE));
        }
    }

    /// The same tokens again, sharing memory until one of the two goes on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), pages: self.pages.clone(), length: self.length }
    }

    /// Bytes of its pages, shared or not.
    pub fn bytes(&self) -> usize {
        self.pages.len() * self.pool.layout.page_bytes()
    }

    pub(crate) fn is_of(&self, pool: &CachePool) -> bool {
        Arc::ptr_eq(&self.pool, &pool.0)
    }

    /// Makes the pages for `tokens` more tokens, none of them shared. On failure nothing has changed but spare pages,
    /// which are given back.
    pub(crate) fn reserve(&mut self, tokens: usize) -> Result<(), DecoderError> {
        if let Err(error) = self.try_reserve(tokens) {
            self.give_back_spare();
            return Err(error);
        }
        Ok(())
    }

    /// Gives pages back that hold no token.
    pub(crate) fn give_back_spare(&mut self) {
        self.pages.truncate(self.length.div_ceil(PAGE));
    }

    fn try_reserve(&mut self, tokens: usize) -> Result<(), DecoderError> {
        let first = self.length / PAGE;
        if let Some(page) = self.pages.get_mut(first)
            && Arc::get_mut(page).is_none()
        {
            let mut copy = self.pool.page()?;
            copy.values.clone_from(&page.values);
            *page = Arc::new(copy);
        }
        while self.pages.len() < (self.length + tokens).div_ceil(PAGE) {
            self.pages.push(Arc::new(self.pool.page()?));
        }
        Ok(())
    }

    /// Counts `tokens` more tokens as there: their keys and values have been written in every layer.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
    }

    /// Keys and values of one head on one page.
    pub(crate) fn part<E: Kept>(&self, page: usize, layer: usize, head: usize) -> PagePart<'_, E> {
        let layout = &self.pool.layout;
        let start = (layer * layout.heads + head) * layout.head_values();
        let all = self.pages.get(page).map_or(&[][..], |page| E::of_page(&page.values));
        let (keys, values) = all
            .get(start..start + layout.head_values())
            .and_then(|part| part.split_at_checked(layout.head_values() / 2))
            .unwrap_or_default();
        PagePart { keys, values }
    }

    /// Keys and values of all heads of a layer on one page, to be written: [`Cache::reserve`] has made the page its own.
    pub(crate) fn layer_mut<E: Kept>(&mut self, page: usize, layer: usize) -> &mut [E] {
        let layout = self.pool.layout;
        let values = layout.heads * layout.head_values();
        let page = self.pages.get_mut(page).and_then(Arc::get_mut);
        page.and_then(|page| E::of_page_mut(&mut page.values).get_mut(layer * values..(layer + 1) * values))
            .unwrap_or_default()
    }
}

/// What a page can consist of.
pub(crate) trait Kept: Element {
    fn of_page(values: &Values) -> &[Self];
    fn of_page_mut(values: &mut Values) -> &mut [Self];
}

impl Kept for u16 {
    fn of_page(values: &Values) -> &[u16] {
        if let Values::Half(values) = values { values } else { &[] }
    }

    fn of_page_mut(values: &mut Values) -> &mut [u16] {
        if let Values::Half(values) = values { values } else { &mut [] }
    }
}

impl Kept for f32 {
    fn of_page(values: &Values) -> &[f32] {
        if let Values::Single(values) = values { values } else { &[] }
    }

    fn of_page_mut(values: &mut Values) -> &mut [f32] {
        if let Values::Single(values) = values { values } else { &mut [] }
    }
}

/// Writes the keys and values of one head for tokens of one sequence that lie on one page.
pub(crate) struct Put<'a, E> {
    /// The head's keys and values on the page.
    pub(crate) part: &'a mut [E],
    /// The head's new keys and values of all tokens of the pass, panel by panel.
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
    /// Tokens of the pass.
    pub(crate) tokens: usize,
    /// The first of them to write, the place on the page where it goes, and how many go there.
    pub(crate) token: usize,
    pub(crate) place: usize,
    pub(crate) count: usize,
}

impl<E: Element> Kernel for Put<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) {
        let Self { part, keys, values, tokens, token, place, count } = self;
        let (key_part, value_part) = part.split_at_mut(part.len() / 2);
        let width = key_part.len() / PAGE;
        for index in 0..count {
            let slot = place + index;
            let (group, lane) = (slot / LANES, slot % LANES);
            let rows = key_part.chunks_exact_mut(LANES * LANES).skip(group * width / LANES);
            let panels = keys.as_chunks::<LANES>().0.iter().skip(token + index).step_by(tokens);
            for (panel, rows) in panels.zip(rows) {
                let mut kept = [E::default(); LANES];
                E::store(lanes, lanes.load(panel), &mut kept);
                for (value, row) in kept.into_iter().zip(rows.chunks_exact_mut(LANES)) {
                    if let Some(target) = row.get_mut(lane) {
                        *target = value;
                    }
                }
            }
            let targets = value_part.get_mut(slot * width..(slot + 1) * width).unwrap_or_default();
            let panels = values.as_chunks::<LANES>().0.iter().skip(token + index).step_by(tokens);
            for (panel, target) in panels.zip(targets.as_chunks_mut::<LANES>().0) {
                E::store(lanes, lanes.load(panel), target);
            }
        }
    }
}
