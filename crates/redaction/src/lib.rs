//! Finds personal data in text, replaces it by placeholders and puts it back.
