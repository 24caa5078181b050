//! Finds dates, amounts, accounts, addresses and numbers in text.
