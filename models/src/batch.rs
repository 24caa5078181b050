//! Which texts are run together.

/// How texts are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Most tokens of a batch; a single longer text is a batch of its own.
    pub(crate) max_tokens: usize,
    /// How many workers share the batches.
    pub(crate) workers: usize,
}

/// Groups the texts whose token counts are `lengths` into batches of indices, longest texts first, each batch within the
/// budget. Where all the texts would fit into fewer batches than there are workers, the batches are made smaller.
pub(crate) fn plan(lengths: &[usize], budget: Budget) -> Vec<Vec<usize>> {
    let mut order: Vec<(usize, usize)> = lengths.iter().copied().enumerate().collect();
    order.sort_by_key(|(index, length)| (std::cmp::Reverse(*length), *index));
    let total: usize = lengths.iter().sum();
    let limit = total.div_ceil(budget.workers.max(1)).min(budget.max_tokens);
    let mut batches = Vec::new();
    let (mut batch, mut tokens) = (Vec::new(), 0);
    for (index, length) in order {
        if !batch.is_empty() && tokens + length > limit {
            batches.push(std::mem::take(&mut batch));
            tokens = 0;
        }
        batch.push(index);
        tokens += length;
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::{Budget, plan};

    #[test]
    fn every_text_is_in_one_batch_and_no_batch_is_over_budget() {
        let lengths: Vec<usize> = (0..500_usize).map(|i| 3 + i * 7919 % 254).collect();
        let batches = plan(&lengths, Budget { max_tokens: 512, workers: 2 });
        let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
        for batch in &batches {
            let tokens: usize = batch.iter().map(|index| lengths[*index]).sum();
            assert!(tokens <= 512, "{tokens} tokens in {batch:?}");
        }
        let first: Vec<usize> = batches.iter().map(|batch| lengths[batch[0]]).collect();
        assert!(first.is_sorted_by(|a, b| a >= b), "longest first, so that the workers end together");
        assert!(batches.len() <= 2 * lengths.iter().sum::<usize>().div_ceil(512), "batches are filled");
    }

    #[test]
    fn a_longer_text_goes_alone_and_few_texts_are_shared_out() {
        assert_eq!(plan(&[10, 900, 10], Budget { max_tokens: 512, workers: 1 }), vec![vec![1], vec![0, 2]]);
        assert_eq!(plan(&[100, 100], Budget { max_tokens: 512, workers: 2 }), vec![vec![0], vec![1]]);
        assert!(plan(&[], Budget { max_tokens: 512, workers: 2 }).is_empty());
    }
}
