//! Prompt lookup: what the answer will probably repeat, found by its last tokens.
//!
//! A draft repeats the retrieved replies and the ticket (Saxena 2023, "prompt lookup decoding"). Where the last tokens
//! written also stand in one of those texts, what follows there is proposed; the model then computes the proposal in one
//! step and keeps what it would have written itself.

use std::collections::HashMap;

/// Stands between two texts, so that no proposal runs from one into the next. It is no token of any vocabulary.
const BORDER: u32 = u32::MAX;
/// Tokens that must agree before anything is proposed.
const LEAST_MATCH: usize = 2;
/// Tokens beyond which agreement is not measured any more.
const MOST_MATCH: usize = 16;
/// Places looked at, newest first.
const MOST_PLACES: usize = 32;
/// Tokens after which proposals are tried again when none was right.
const FIRST_REST: usize = 8;
/// The same after many failures.
const LONGEST_REST: usize = 128;

/// The texts that one answer may repeat, and how far proposals from them can be trusted.
#[derive(Debug)]
pub(crate) struct Lookup {
    tokens: Vec<u32>,
    /// Where each pair of tokens ends (index of the token after it).
    places: HashMap<[u32; 2], Vec<u32>>,
    most: usize,
    next: usize,
    rest: usize,
    resting: usize,
}

impl Lookup {
    /// Proposals of at most `most` tokens out of `texts` and of what [`push`](Self::push) adds.
    pub(crate) fn new(texts: &[Vec<u32>], prompt: &[u32], most: usize) -> Self {
        let mut lookup =
            Self { tokens: Vec::new(), places: HashMap::new(), most, next: most.min(4), rest: FIRST_REST, resting: 0 };
        if most > 0 {
            for text in texts {
                for &token in text {
                    lookup.append(token);
                }
                lookup.append(BORDER);
            }
            for &token in prompt {
                lookup.append(token);
            }
        }
        lookup
    }

    /// Takes note of a token of the answer.
    pub(crate) fn push(&mut self, token: u32) {
        if self.most > 0 {
            self.append(token);
            self.resting = self.resting.saturating_sub(1);
        }
    }

    /// What probably comes next: the continuation of the longest agreement, of equals the newest. Empty where nothing
    /// agrees, or where proposals were wrong lately.
    pub(crate) fn propose(&self, room: usize) -> Vec<u32> {
        let room = room.min(self.next);
        if room == 0 || self.resting > 0 {
            return Vec::new();
        }
        let Some(&[before, last]) = self.tokens.last_chunk::<2>() else { return Vec::new() };
        let end = self.tokens.len();
        let mut best = (0, 0);
        let places = self.places.get(&[before, last]).map_or(&[][..], Vec::as_slice);
        // The newest place is the end itself, where nothing follows.
        for &place in places.iter().rev().skip(1).take(MOST_PLACES) {
            let place = place as usize;
            let agreeing = self.agreement(place, end);
            if agreeing > best.0 {
                best = (agreeing, place);
            }
        }
        let (agreeing, place) = best;
        if agreeing < LEAST_MATCH {
            return Vec::new();
        }
        // Two tokens agree by accident; a longer agreement earns a longer proposal.
        let room = room.min(agreeing * 2);
        let mut following: Vec<u32> = Vec::with_capacity(room);
        for at in place..place + room {
            // What repeats itself goes on into its own continuation.
            let token = self.tokens.get(at).or_else(|| following.get(at - end)).copied();
            match token {
                Some(token) if token != BORDER => following.push(token),
                _ => break,
            }
        }
        following
    }

    /// Learns how many of the `proposed` tokens were right.
    pub(crate) fn learn(&mut self, proposed: usize, right: usize) {
        if proposed == 0 {
            return;
        }
        if right >= proposed {
            self.next = (self.next * 2).clamp(1, self.most);
            self.rest = FIRST_REST;
        } else if right > 0 {
            self.next = (right + 1).min(self.most);
            self.rest = FIRST_REST;
        } else if self.next > 1 {
            self.next /= 2;
        } else {
            self.resting = self.rest;
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
    }

    fn append(&mut self, token: u32) {
        self.tokens.push(token);
        if let Some(&[before, last]) = self.tokens.last_chunk::<2>()
            && before != BORDER
            && last != BORDER
        {
            self.places.entry([before, last]).or_default().push(self.tokens.len() as u32);
        }
    }

    /// How many tokens before `place` equal those before `end`.
    fn agreement(&self, place: usize, end: usize) -> usize {
        let earlier = self.tokens.get(..place).unwrap_or_default().iter().rev();
        let latest = self.tokens.get(..end).unwrap_or_default().iter().rev();
        earlier.zip(latest).take(MOST_MATCH).take_while(|(a, b)| a == b && **a != BORDER).count()
    }
}

#[cfg(test)]
mod tests {
    use super::Lookup;

    #[test]
    fn the_longest_agreement_is_continued_up_to_the_border() {
        let texts = [vec![5, 6, 7, 8, 9], vec![1, 6, 7, 30, 31]];
        let mut lookup = Lookup::new(&texts, &[100, 101], 8);
        assert!(lookup.propose(8).is_empty());
        for token in [5, 6, 7] {
            lookup.push(token);
        }
        // "5 6 7" agrees with the first text in three tokens, with the second in two.
        assert_eq!(lookup.propose(8), [8, 9]);
        assert_eq!(lookup.propose(1), [8]);
        assert!(lookup.propose(0).is_empty());
        lookup.push(8);
        lookup.push(9);
        assert!(lookup.propose(8).is_empty(), "nothing follows before the border");
    }

    #[test]
    fn of_equal_agreements_the_newest_counts_and_the_answer_repeats_itself() {
        let mut lookup = Lookup::new(&[], &[1, 2, 3, 9, 1, 2, 4, 9], 8);
        lookup.push(1);
        lookup.push(2);
        assert_eq!(lookup.propose(1), [4]);
        let mut repeating = Lookup::new(&[], &[7], 8);
        for _ in 0..3 {
            repeating.push(40);
            repeating.push(41);
        }
        assert_eq!(repeating.propose(3), [40, 41, 40]);
        repeating.learn(3, 3);
        assert_eq!(repeating.propose(7), [40, 41, 40, 41, 40, 41, 40], "beyond what was written so far");
    }

    #[test]
    fn wrong_proposals_make_it_rest_and_right_ones_bold() {
        let prompt: Vec<u32> = (0..200).chain(0..200).collect();
        let mut lookup = Lookup::new(&[], &prompt, 16);
        let mut token = 0;
        let mut write = |lookup: &mut Lookup, count: usize| {
            for _ in 0..count {
                lookup.push(token);
                token += 1;
            }
        };
        write(&mut lookup, 20);
        assert_eq!(lookup.propose(64).len(), 4);
        lookup.learn(4, 4);
        assert_eq!(lookup.propose(64).len(), 8);
        lookup.learn(8, 8);
        lookup.learn(16, 16);
        assert_eq!(lookup.propose(64).len(), 16);
        for _ in 0..5 {
            assert!(!lookup.propose(64).is_empty());
            lookup.learn(4, 0);
        }
        assert!(lookup.propose(64).is_empty(), "it rests");
        write(&mut lookup, 7);
        assert!(lookup.propose(64).is_empty(), "it still rests");
        write(&mut lookup, 1);
        assert_eq!(lookup.propose(64).len(), 1, "it tries again, carefully");
    }

    #[test]
    fn switched_off_it_proposes_nothing() {
        let mut lookup = Lookup::new(&[vec![1, 2, 3]], &[1, 2, 3, 1, 2], 0);
        lookup.push(1);
        assert!(lookup.propose(8).is_empty());
    }
}
