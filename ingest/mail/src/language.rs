//! Which language a text is in.

use whatlang::Lang;

/// Fewest letters from which a language is told.
const MIN_LETTERS: usize = 24;

/// The language of `text` as an ISO 639-1 code; `None` where the text is short or the answer unsure. Give it the new text
/// of a message only: a quoted history or a signature must not decide.
pub fn detect(text: &str) -> Option<String> {
    let sample: String = text
        .split_whitespace()
        .filter(|word| !word.contains("://") && !word.contains('@') && !word.contains('/') && !word.contains('_'))
        .take(400)
        .flat_map(|word| [word, " "])
        .collect();
    if sample.chars().filter(|c| c.is_alphabetic()).count() < MIN_LETTERS {
        return None;
    }
    let info = whatlang::detect(&sample)?;
    (info.is_reliable() || info.confidence() > 0.5).then(|| code(info.lang())).flatten().map(str::to_owned)
}

fn code(lang: Lang) -> Option<&'static str> {
    Some(match lang {
        Lang::Eng => "en",
        Lang::Deu => "de",
        Lang::Fra => "fr",
        Lang::Spa => "es",
        Lang::Ita => "it",
        Lang::Nld => "nl",
        Lang::Por => "pt",
        Lang::Swe => "sv",
        Lang::Dan => "da",
        Lang::Nob => "no",
        Lang::Fin => "fi",
        Lang::Pol => "pl",
        Lang::Ces => "cs",
        Lang::Slk => "sk",
        Lang::Slv => "sl",
        Lang::Hrv => "hr",
        Lang::Srp => "sr",
        Lang::Bul => "bg",
        Lang::Rus => "ru",
        Lang::Ukr => "uk",
        Lang::Bel => "be",
        Lang::Ron => "ro",
        Lang::Hun => "hu",
        Lang::Ell => "el",
        Lang::Tur => "tr",
        Lang::Cat => "ca",
        Lang::Est => "et",
        Lang::Lav => "lv",
        Lang::Lit => "lt",
        Lang::Heb => "he",
        Lang::Ara => "ar",
        Lang::Pes => "fa",
        Lang::Hin => "hi",
        Lang::Cmn => "zh",
        Lang::Jpn => "ja",
        Lang::Kor => "ko",
        Lang::Vie => "vi",
        Lang::Ind => "id",
        Lang::Tha => "th",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::detect;

    #[test]
    fn told_from_enough_text_only() {
        assert_eq!(
            detect("Sehr geehrte Frau Weber, vielen Dank für Ihre Nachricht vom Montag.").as_deref(),
            Some("de")
        );
        assert_eq!(
            detect("Thank you for your message, we will look into the invoice tomorrow.").as_deref(),
            Some("en")
        );
        assert_eq!(
            detect("Bonjour Madame, je vous remercie pour votre message concernant la facture.").as_deref(),
            Some("fr")
        );
        assert_eq!(detect("ok"), None);
        assert_eq!(detect("https://example.com/some/very/long/path/that/is/no/language"), None);
    }
}
