use super::find_addresses;
use crate::token::tokens;

fn found(text: &str) -> Vec<&str> {
    find_addresses(text, &tokens(text)).into_iter().map(|raw| &text[raw.start..raw.end]).collect()
}
