//! Which of several failures is told.

use std::time::Duration;

use rejoinder_domain::{ErrorKind, SeamError};

/// The failures of one call.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<SeamError>);

impl Errors {
    pub(crate) fn add(&mut self, error: SeamError) {
        self.0.push(error);
    }

    /// The failure that says most about what the caller can do. The credentials of a target are not the caller's matter,
    /// nor is a model that it does not know.
    pub(crate) fn worst(self) -> SeamError {
        let soonest = self.0.iter().filter_map(|error| wait(&error.kind)).min();
        let worst = self.0.into_iter().rev().max_by_key(|error| rank(&error.kind));
        let Some(mut error) = worst else {
            return SeamError::new(ErrorKind::Unavailable, "no model is configured for this");
        };
        match (&mut error.kind, soonest) {
            (ErrorKind::OverBudget { resets_in }, Some(soonest)) => *resets_in = soonest,
            (ErrorKind::RateLimited { retry_after }, Some(soonest)) => *retry_after = Some(soonest),
            (ErrorKind::Auth | ErrorKind::NotFound, _) => error.kind = ErrorKind::Unavailable,
            _ => {}
        }
        error
    }
}

fn wait(kind: &ErrorKind) -> Option<Duration> {
    match kind {
        ErrorKind::OverBudget { resets_in } => Some(*resets_in),
        ErrorKind::RateLimited { retry_after } => *retry_after,
        _ => None,
    }
}

fn rank(kind: &ErrorKind) -> u8 {
    match kind {
        // A shorter prompt would do.
        ErrorKind::ContextTooLong => 9,
        ErrorKind::Refused => 8,
        ErrorKind::OutputInvalid | ErrorKind::OutputIncomplete => 7,
        // Waiting would do.
        ErrorKind::RateLimited { .. } => 6,
        ErrorKind::OverBudget { .. } => 5,
        ErrorKind::DeadlineExceeded => 4,
        ErrorKind::Transient => 3,
        ErrorKind::Invalid => 2,
        ErrorKind::Auth | ErrorKind::NotFound => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rejoinder_domain::{ErrorKind, SeamError};

    use super::Errors;

    fn worst(kinds: &[ErrorKind]) -> ErrorKind {
        let mut errors = Errors::default();
        for kind in kinds {
            errors.add(SeamError::new(kind.clone(), "x"));
        }
        errors.worst().kind
    }

    #[test]
    fn what_the_caller_can_act_on_is_told() {
        let seconds = Duration::from_secs;
        assert_eq!(worst(&[]), ErrorKind::Unavailable);
        assert_eq!(worst(&[ErrorKind::Unavailable, ErrorKind::Transient, ErrorKind::Auth]), ErrorKind::Transient);
        assert_eq!(worst(&[ErrorKind::Auth, ErrorKind::Unavailable]), ErrorKind::Unavailable);
        let over = |s| ErrorKind::OverBudget { resets_in: seconds(s) };
        assert_eq!(worst(&[over(60), ErrorKind::Unavailable, over(30)]), over(30));
        assert_eq!(worst(&[ErrorKind::ContextTooLong, ErrorKind::Transient]), ErrorKind::ContextTooLong);
    }
}
