//! How far a draft is to be trusted, from similarity and checks alone.

use super::answer::Check;

/// A draft is never certain.
const CEILING: f32 = 0.95;

/// Confidence in a draft, 0 to 0.95.
///
/// `closeness` is how far the exemplar's question is above the bound, 0 at the bound and 1 at identity. It gives
/// `base + (0.95 - base) * closeness` with a base of 0.35 (0.2 without an embedder, where only words were compared); every
/// failed check then multiplies by its weight. The model that wrote the draft has no say.
pub fn confidence(closeness: f32, by_words_only: bool, checks: &[Check]) -> f32 {
    let base = if by_words_only { 0.2 } else { 0.35 };
    let from_similarity = base + (CEILING - base) * closeness.clamp(0.0, 1.0);
    let weights: f32 = checks.iter().filter(|check| !check.passed).map(|check| failed_weight(check.name)).product();
    (from_similarity * weights).clamp(0.0, CEILING)
}

/// What a failed check leaves of the confidence.
fn failed_weight(check: &str) -> f32 {
    match check {
        "citations_verified" | "addresses_model" => 0.5,
        "language_matches" => 0.6,
        "commitments_supported" => 0.7,
        "statements_supported" | "citations_support" => 0.8,
        "figures_supported"
        | "dates_supported"
        | "names_supported"
        | "identifiers_supported"
        | "contacts_supported"
        | "ticket_read_whole" => 0.9,
        // An open placeholder or a low similarity is already counted by what opened it.
        _ => 1.0,
    }
}

/// Where `similarity` lies between the bound and 1; 0 below the bound.
pub(crate) fn closeness(similarity: f32, bound: f32) -> f32 {
    if bound >= 1.0 { 0.0 } else { ((similarity - bound) / (1.0 - bound)).clamp(0.0, 1.0) }
}

/// The similarity at which a draft is offered, from pairs of (similarity, whether the earlier reply answers the new
/// question): the bound with the best F0.5, which counts a wrong draft twice as much as a missed one. Of equal bounds the
/// higher. `None` without a pair that is true, or with a similarity that is no number.
///
/// ```
/// let pairs = [(0.9, true), (0.8, true), (0.6, false), (0.3, false)];
/// assert_eq!(rejoinder_assist::calibrate(&pairs), Some(0.8));
/// assert_eq!(rejoinder_assist::calibrate(&[(0.9, false)]), None);
/// ```
pub fn calibrate(pairs: &[(f32, bool)]) -> Option<f32> {
    if pairs.iter().any(|(similarity, _)| !similarity.is_finite()) {
        return None;
    }
    let all_true = pairs.iter().filter(|(_, is_true)| *is_true).count() as f64;
    let mut sorted: Vec<(f32, bool)> = pairs.to_vec();
    sorted.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut best: Option<(f64, f32)> = None;
    let (mut accepted, mut right) = (0.0_f64, 0.0_f64);
    let mut rest = sorted.iter().peekable();
    while let Some((similarity, is_true)) = rest.next() {
        accepted += 1.0;
        right += f64::from(u8::from(*is_true));
        // A bound cannot part pairs of the same similarity.
        if rest.peek().is_some_and(|(next, _)| next.total_cmp(similarity).is_eq()) {
            continue;
        }
        let (precision, recall) = (right / accepted, right / all_true);
        let score = if right > 0.0 { 1.25 * precision * recall / (0.25 * precision + recall) } else { 0.0 };
        if score > best.map_or(0.0, |(score, _)| score) {
            best = Some((score, *similarity));
        }
    }
    best.map(|(_, similarity)| similarity)
}

#[cfg(test)]
mod tests {
    use super::{calibrate, closeness, confidence};
    use crate::Check;

    fn check(name: &'static str, passed: bool) -> Check {
        Check { name, passed, detail: String::new() }
    }

    #[test]
    fn confidence_grows_with_similarity_falls_with_checks_and_is_never_one() {
        assert!((confidence(1.0, false, &[]) - 0.95).abs() < 1e-6);
        assert!((confidence(0.0, false, &[]) - 0.35).abs() < 1e-6);
        assert!(confidence(0.5, true, &[]) < confidence(0.5, false, &[]));
        let passed = confidence(0.5, false, &[check("figures_supported", true)]);
        let failed = confidence(0.5, false, &[check("figures_supported", false)]);
        assert!((failed - passed * 0.9).abs() < 1e-6);
        assert!((closeness(0.55, 0.55)).abs() < 1e-6 && (closeness(1.0, 0.55) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn calibration_prefers_precision() {
        // At 0.5 all true ones are in with one wrong; at 0.7 none is wrong but one missed.
        let pairs = [(0.9, true), (0.8, true), (0.7, true), (0.6, false), (0.55, false), (0.5, true), (0.1, false)];
        assert_eq!(calibrate(&pairs), Some(0.7));
        assert_eq!(calibrate(&[(0.5, true), (0.5, false)]), Some(0.5));
        assert_eq!(calibrate(&[]), None);
        assert_eq!(calibrate(&[(f32::NAN, true)]), None);
    }
}
