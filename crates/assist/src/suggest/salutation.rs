//! Salutations and sign-offs in seven languages: where they are, and how to address this ticket's customer.

use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;
use rejoinder_recognise::constant_pattern;

/// The placeholder for a customer without a name.
pub(crate) const CUSTOMER_PLACEHOLDER: &str = "[customer name]";

/// How a greeting goes on to a person whose gender is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    /// The words fit anyone: kept.
    Neutral,
    /// The words tell the person's gender: these stand for them.
    Gendered(&'static str),
}

/// Greetings, longest first where one begins another. Each pattern is matched at the line's start, case-insensitively.
const GREETINGS: [(&str, Greeting); 22] = [
    (r"dear|hi there|hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings", Greeting::Neutral),
    (r"sehr geehrte[rs]?|werte[rs]?", Greeting::Gendered("Guten Tag")),
    (r"liebe[rs]?", Greeting::Gendered("Hallo")),
    (r"hallo|guten (?:tag|morgen|abend)|moin(?: moin)?|servus|grüezi|grüß gott|grüß dich|gruezi", Greeting::Neutral),
    (r"chère|chere|cher", Greeting::Gendered("Bonjour")),
    (r"bonjour|bonsoir|salut", Greeting::Neutral),
    (r"madame|monsieur", Greeting::Gendered("Bonjour")),
    (r"estimad[oa]/a|estimad[oa]\(a\)", Greeting::Neutral),
    (r"estimad[oa]s?|distinguid[oa]s?|apreciad[oa]", Greeting::Gendered("Estimado/a")),
    (r"querid[oa]s?", Greeting::Gendered("Hola")),
    (r"hola|buenos días|buenas tardes|buenas noches|buen día", Greeting::Neutral),
    (r"egregi[oa]|illustrissim[oa]|stimat[oa]|pregiatissim[oa]", Greeting::Gendered("Gentile")),
    (r"car[oa]", Greeting::Gendered("Ciao")),
    (r"gentile|gent\.(?:mo|ma)|spett\.?le|ciao|buongiorno|buonasera|salve", Greeting::Neutral),
    (r"geachte|beste|goedemorgen|goedemiddag|goedenavond|goedendag|dag|hoi", Greeting::Neutral),
    (r"prezad[oa]/a|prezad[oa]\(a\)", Greeting::Neutral),
    (r"prezad[oa]s?|estimad[oa]s? senhor[ae]?s?", Greeting::Gendered("Olá")),
    (r"olá|ola|oi|bom dia|boa tarde|boa noite", Greeting::Neutral),
    (r"ahoj|dobrý den|cześć|dzień dobry", Greeting::Neutral),
    (r"hej|hei|god dag|kära|kjære|kære", Greeting::Neutral),
    (r"szanown[aey]|szanowni", Greeting::Gendered("Dzień dobry")),
    (r"vážen[áýí]", Greeting::Gendered("Dobrý den")),
];

/// Titles in front of a name, with the gender that they tell (`f`, `m`) where they tell one.
const TITLES: [(&str, char); 44] = [
    ("ms", 'f'),
    ("mrs", 'f'),
    ("miss", 'f'),
    ("mr", 'm'),
    ("mister", 'm'),
    ("sir", 'm'),
    ("madam", 'f'),
    ("mx", '-'),
    ("dr", '-'),
    ("prof", '-'),
    ("professor", '-'),
    ("frau", 'f'),
    ("herr", 'm'),
    ("herrn", 'm'),
    ("madame", 'f'),
    ("mme", 'f'),
    ("mademoiselle", 'f'),
    ("mlle", 'f'),
    ("monsieur", 'm'),
    ("m", 'm'),
    ("señora", 'f'),
    ("sra", 'f'),
    ("señorita", 'f'),
    ("srta", 'f'),
    ("señor", 'm'),
    ("sr", 'm'),
    ("don", 'm'),
    ("doña", 'f'),
    ("signora", 'f'),
    ("signor", 'm'),
    ("signore", 'm'),
    ("sig", '-'),
    ("sig.ra", 'f'),
    ("dott", '-'),
    ("dott.ssa", 'f'),
    ("mevrouw", 'f'),
    ("mevr", 'f'),
    ("meneer", 'm'),
    ("heer", 'm'),
    ("de", '-'),
    ("dhr", 'm'),
    ("senhora", 'f'),
    ("senhor", 'm'),
    ("pan", 'm'),
];

/// Words that stand for a name and fit any customer.
const ANYONE: [&str; 60] = [
    "all",
    "everyone",
    "everybody",
    "team",
    "customer",
    "customers",
    "client",
    "clients",
    "colleague",
    "colleagues",
    "friend",
    "friends",
    "folks",
    "guys",
    "there",
    "again",
    "together",
    "partner",
    "partners",
    "user",
    "users",
    "valued",
    "damen",
    "und",
    "herren",
    "zusammen",
    "kunde",
    "kundin",
    "kunden",
    "kollegen",
    "kolleginnen",
    "alle",
    "alles",
    "madame,",
    "messieurs",
    "monsieur,",
    "à",
    "tous",
    "toutes",
    "client,",
    "cliente",
    "clientes",
    "clienti",
    "señores",
    "equipo",
    "todos",
    "todas",
    "tutti",
    "tutte",
    "signori",
    "heren",
    "dames",
    "en",
    "allemaal",
    "klant",
    "lezer",
    "sirs",
    "or",
    "senhores",
    "sir/madam",
];

static GREETING: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    // The name goes up to the first mark that ends it, or the line's end; a dot belongs to a title.
    let line = |pattern: &str| {
        format!(
            r"(?i)^[ \t]*(?P<greeting>{pattern})\b(?:[ \t]+(?P<name>[^,;:!?\n\r–—]{{1,80}}?))?[ \t]*(?P<mark>[,;:!]|[ \t][-–—]|\.?[ \t]*$)"
        )
    };
    GREETINGS.iter().map(|(pattern, _)| constant_pattern(&line(pattern))).collect()
});

static SIGN_OFF: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(concat!(
        r"(?i)^[ \t]*(?:(?:with )?(?:(?:best|kind|kindest|warm|warmest|many|with best) )*(?:regards|wishes)|best|(?:yours|sincerely|yours (?:sincerely|truly|faithfully)|very truly yours|sincerely yours)|",
        r"(?:many |with )?thanks(?: (?:again|in advance|a lot|so much|and (?:best |kind )?regards))?|thank you(?: (?:again|in advance|very much))?|cheers|respectfully|take care|",
        r"(?:mit )?(?:freundliche[nm]?|beste[nm]?|viele[nm]?|herzliche[nm]?|liebe[nm]?|schöne[nm]?) gr(?:ü|ue)(?:ß|ss)e?n?|mit freundlichem gru(?:ß|ss)|mfg|lg|vg|bg|gr(?:ü|ue)(?:ß|ss)e|gru(?:ß|ss)|hochachtungsvoll|vielen dank|danke|",
        r"(?:très |bien )?cordialement|bien à (?:vous|toi)|(?:sincères|meilleures|mes) salutations|salutations(?: distinguées)?|amicalement|merci(?: d'avance| beaucoup)?|",
        r"(?:un )?(?:cordial(?:es)? )?saludos?(?: cordial(?:es)?)?|atentamente|atte\.?|cordialmente|muchas gracias|gracias|",
        r"(?:cordiali |distinti |un cordiale )?saluti?|un saluto|cordialmente|grazie(?: mille)?|",
        r"(?:met )?(?:vriendelijke |hartelijke |beste )?groet(?:en|jes)?|mvg|hoogachtend|bedankt|dank u wel|",
        r"atenciosamente|(?:com os melhores |melhores )?cumprimentos|abraços?|obrigad[oa])",
        r"[ \t]*(?P<mark>[,.!;:]*|[ \t]*[-–—])[ \t]*(?P<name>(?:(?-i:\p{Lu})[\p{L}.'’-]*[ \t]*){0,4})$",
    ))
});

/// A salutation, found at a text's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Salutation {
    /// Greeting and name, up to but not including the mark that follows.
    pub(crate) span: Span,
    /// The greeting's words.
    pub(crate) greeting: Span,
    /// The name with its titles, where there is one.
    pub(crate) name: Option<Span>,
    row: usize,
}

/// Finds the salutation in the first three lines that are not blank.
pub(crate) fn find_salutation(text: &str) -> Option<Salutation> {
    let lines = lines(text).filter(|(_, line)| !line.trim().is_empty()).take(3);
    lines.into_iter().find_map(|(start, line)| {
        let (row, captures) =
            GREETING.iter().enumerate().find_map(|(row, regex)| Some((row, regex.captures(line)?)))?;
        let at = |name: &str| captures.name(name).and_then(|m| Span::new(start + m.start(), start + m.end()));
        let greeting = at("greeting")?;
        let name = at("name").filter(|name| name.of(text).is_some_and(may_be_name));
        // `Thanks for ...` after a bare greeting word is a sentence, not a salutation.
        let runs_on = captures.name("name").is_some() && name.is_none();
        (!runs_on).then(|| Salutation {
            span: Span::new(greeting.start(), name.map_or(greeting.end(), Span::end)).unwrap_or(greeting),
            greeting,
            name,
            row,
        })
    })
}

/// Whether words after a greeting can be a name or stand for one: few, and not a sentence.
fn may_be_name(words: &str) -> bool {
    let is_placeholder = words.starts_with(['<', '[', '{']);
    let few = words.split_whitespace().count() <= 6;
    few && (is_placeholder || !words.contains(['?', '=']) && !words.contains("http"))
}

/// Whether the name part fits any customer (`Dear all`, `Sehr geehrte Damen und Herren`) and may stay.
pub(crate) fn addresses_anyone(name: &str) -> bool {
    let mut words = name.split(|c: char| c.is_whitespace() || c == '/').filter(|word| !word.is_empty()).peekable();
    words.peek().is_some()
        && words.all(|word| {
            let word = word.to_lowercase();
            ANYONE.contains(&word.as_str())
                || matches!(title_gender(&word), Some('f' | 'm')) && !name.trim().contains(' ')
                || matches!(word.as_str(), "sir" | "madam")
        })
}

/// A person's name, divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PersonName {
    /// `f`, `m`, or `None` where no title tells.
    pub(crate) gender: Option<char>,
    /// Titles as written.
    pub(crate) titles: Vec<String>,
    /// First and further names; empty where only a last name is known.
    pub(crate) first: String,
    /// Last name; empty where only a first name is known.
    pub(crate) last: String,
}

impl PersonName {
    /// Divides a display name: `Anna Weber`, `Weber, Anna`, `Frau Dr. Weber`, `"Anna Weber"`. `None` for what is no
    /// person's name: an address, digits, nothing.
    pub(crate) fn parse(written: &str) -> Option<Self> {
        let written = written.trim().trim_matches(['"', '\'']).trim();
        let without_note = written.split(['(', '<', '[', '|']).next().unwrap_or_default().trim();
        if without_note.is_empty() || without_note.contains(|c: char| c == '@' || c.is_numeric()) {
            return None;
        }
        let ordered = match without_note.split_once(',') {
            Some((last, first)) if !first.trim().is_empty() => format!("{} {}", first.trim(), last.trim()),
            _ => without_note.trim_end_matches(',').to_owned(),
        };
        let mut name = Self::default();
        let mut words: Vec<&str> = Vec::new();
        for word in ordered.split_whitespace() {
            match title_gender(word) {
                Some(gender) if words.is_empty() => {
                    name.titles.push(word.to_owned());
                    name.gender = name.gender.or(Some(gender).filter(|gender| *gender != '-'));
                }
                _ => words.push(word),
            }
        }
        let (last, first) = words.split_last()?;
        // After a title one word is a last name; alone it is a first name, as people sign informally.
        (name.first, name.last) = if first.is_empty() && name.titles.is_empty() {
            ((*last).to_owned(), String::new())
        } else {
            (first.join(" "), (*last).to_owned())
        };
        Some(name)
    }

    /// First and last name, without titles.
    pub(crate) fn full(&self) -> String {
        format!("{} {}", self.first, self.last).trim().to_owned()
    }
}

fn title_gender(word: &str) -> Option<char> {
    let word = word.to_lowercase();
    let word = word.trim_end_matches('.');
    TITLES.iter().find(|(title, _)| *title == word).map(|(_, gender)| *gender)
}

/// Writes the salutation for `customer`: the old greeting where it fits anyone, else a neutral one. A title that the CRM
/// gave keeps the formal form.
pub(crate) fn address(text: &str, salutation: &Salutation, customer: Option<&PersonName>) -> String {
    let greeting = salutation.greeting.of(text).unwrap_or_default();
    let old = salutation.name.and_then(|name| name.of(text)).unwrap_or_default();
    let style = GREETINGS.get(salutation.row).map_or(Greeting::Neutral, |(_, greeting)| *greeting);
    let neutral = match style {
        Greeting::Neutral => greeting,
        Greeting::Gendered(other) => other,
    };
    let Some(customer) = customer else {
        return format!("{neutral} {CUSTOMER_PLACEHOLDER}");
    };
    if let (Some(gender), false) = (customer.gender, customer.last.is_empty()) {
        let titled = format!("{} {}", customer.titles.join(" "), customer.last);
        return match (greeting.to_lowercase().as_str(), gender) {
            (formal, 'f') if formal.starts_with("sehr geehrte") => format!("Sehr geehrte {titled}"),
            (formal, 'm') if formal.starts_with("sehr geehrte") => format!("Sehr geehrter {titled}"),
            _ => format!("{neutral} {titled}"),
        };
    }
    // Who was addressed by the first name alone is; everybody else by the whole name.
    let old = PersonName::parse(old);
    let by_first_name =
        old.is_some_and(|old| old.titles.is_empty() && old.last.is_empty()) && title_gender(greeting).is_none();
    let name = if by_first_name && !customer.first.is_empty() { customer.first.clone() } else { customer.full() };
    format!("{neutral} {name}")
}

/// Where the reply closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignOff {
    /// The agent's name, where one follows the closing words.
    pub(crate) name: Option<Span>,
    /// Start of the closing line.
    pub(crate) start: usize,
}

/// Finds the closing line among the last ten lines that are not blank, and the name after it.
pub(crate) fn find_sign_off(text: &str) -> Option<SignOff> {
    let lines: Vec<(usize, &str)> = lines(text).filter(|(_, line)| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(10);
    for (index, (start, line)) in lines.iter().enumerate().skip(from).rev() {
        if line.chars().count() > 80 {
            continue;
        }
        let Some(captures) = SIGN_OFF.captures(line) else { continue };
        let same_line = captures.name("name").filter(|name| !name.as_str().trim().is_empty());
        let name = match same_line {
            Some(name) => Span::new(start + name.start(), start + name.start() + name.as_str().trim_end().len()),
            None => lines.get(index + 1).and_then(|(next, line)| name_line(*next, line)),
        };
        return Some(SignOff { name, start: *start });
    }
    None
}

/// A line that is nothing but a name: one to four capitalised words, perhaps after a dash.
fn name_line(start: usize, line: &str) -> Option<Span> {
    let lead = line.len() - line.trim_start_matches([' ', '\t', '-', '–', '—', '~']).len();
    let name = line.get(lead..)?.trim_end().trim_end_matches([',', '.']);
    let words: Vec<&str> = name.split_whitespace().collect();
    let is_placeholder = name.starts_with(['[', '<', '{']) && name.ends_with([']', '>', '}']) && words.len() <= 3;
    let capitalised =
        |word: &&str| word.starts_with(char::is_uppercase) || matches!(*word, "von" | "van" | "de" | "der" | "da");
    let is_name = (1..=4).contains(&words.len())
        && words
            .iter()
            .all(|word| capitalised(word) && !word.contains(|c: char| c.is_numeric() || matches!(c, '@' | '/' | ':')))
        && SIGN_OFF.captures(line).is_none();
    (is_name || is_placeholder).then(|| Span::new(start + lead, start + lead + name.len())).flatten()
}

/// Lines with the byte where each starts, without line ends.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line.trim_end_matches(['\n', '\r'])))
    })
}

#[cfg(test)]
mod tests {
    use super::{PersonName, address, addresses_anyone, find_salutation, find_sign_off};

    fn greet(text: &str, customer: &str) -> String {
        let salutation = find_salutation(text).unwrap_or_else(|| panic!("no salutation in {text:?}"));
        let rest = &text[salutation.span.end()..];
        format!("{}{rest}", address(text, &salutation, PersonName::parse(customer).as_ref()))
    }

    #[test]
    fn salutations_are_turned_to_the_new_customer() {
        let table = [
            ("Dear Ms Weber,\nthanks", "Paul Klein", "Dear Paul Klein,\nthanks"),
            ("Dear Mr. Smith:", "Paul Klein", "Dear Paul Klein:"),
            ("Hi Anna,", "Paul Klein", "Hi Paul,"),
            ("Hello Anna Weber,", "Paul Klein", "Hello Paul Klein,"),
            ("Hi,", "Paul Klein", "Hi Paul Klein,"),
            ("Good morning Anna!", "Paul", "Good morning Paul!"),
            ("Hi Anna, thanks for writing.", "Paul Klein", "Hi Paul, thanks for writing."),
            ("Dear Dr. Weber,", "Klein, Paul", "Dear Paul Klein,"),
            ("Dear <name>, we regret", "Paul Klein", "Dear Paul Klein, we regret"),
            ("Dear Ms Weber,", "Mr Paul Klein", "Dear Mr Klein,"),
            ("Sehr geehrte Frau Weber,", "Paul Klein", "Guten Tag Paul Klein,"),
            ("Sehr geehrter Herr Dr. Weber,", "Frau Klein", "Sehr geehrte Frau Klein,"),
            ("Sehr geehrte Frau Weber,", "Herr Dr. Klein", "Sehr geehrter Herr Dr. Klein,"),
            ("Liebe Anna,", "Paul Klein", "Hallo Paul,"),
            ("Hallo Frau Weber,", "Paul Klein", "Hallo Paul Klein,"),
            ("Bonjour Madame Weber,", "Paul Petit", "Bonjour Paul Petit,"),
            ("Chère Madame Weber,", "Paul Petit", "Bonjour Paul Petit,"),
            ("Madame Weber,", "Paul Petit", "Bonjour Paul Petit,"),
            ("Estimada Sra. Weber:", "Pablo Ruiz", "Estimado/a Pablo Ruiz:"),
            ("Hola Ana:", "Pablo Ruiz", "Hola Pablo:"),
            ("Gentile Signora Weber,", "Paolo Rossi", "Gentile Paolo Rossi,"),
            ("Caro Paolo,", "Anna Verdi", "Ciao Anna,"),
            ("Geachte mevrouw Weber,", "Piet Jansen", "Geachte Piet Jansen,"),
            ("Beste Anna,", "Piet Jansen", "Beste Piet,"),
            ("Prezada Sra. Weber,", "Paulo Sousa", "Olá Paulo Sousa,"),
            ("\n\n  Dear Ms Weber,", "Paul Klein", "Dear Paul Klein,"),
        ];
        for (text, customer, expected) in table {
            assert_eq!(greet(text, customer), expected, "{text}");
        }
        assert_eq!(greet("Dear Ms Weber,", ""), "Dear [customer name],");
        assert_eq!(greet("Sehr geehrte Frau Weber,", "p@klein.example"), "Guten Tag [customer name],");
    }

    #[test]
    fn sentences_are_no_salutations() {
        for text in ["Thank you for writing.", "The dear old days are gone, they say.", "High prices,", "Hi, ", ""] {
            let found = find_salutation(text);
            assert!(found.is_none() || text == "Hi, ", "{text:?}: {found:?}");
        }
    }

    #[test]
    fn words_for_anyone() {
        for name in
            ["all", "Sir or Madam", "Damen und Herren", "team", "valued customer", "à tous", "Sir/Madam", "Kunde"]
        {
            assert!(addresses_anyone(name), "{name}");
        }
        for name in ["Anna", "Ms Weber", "team Anna", "", "Sales GmbH"] {
            assert!(!addresses_anyone(name), "{name}");
        }
    }

    #[test]
    fn sign_offs_and_who_signs() {
        let signed =
            |text: &'static str| find_sign_off(text).map(|found| found.name.map(|name| name.of(text).unwrap()));
        assert_eq!(signed("Done.\n\nBest regards,\nPeter Braun\nSupport"), Some(Some("Peter Braun")));
        assert_eq!(signed("Done.\nMit freundlichen Grüßen\n\nPeter Braun"), Some(Some("Peter Braun")));
        assert_eq!(signed("Done.\nViele Grüße, Peter"), Some(Some("Peter")));
        assert_eq!(signed("Fait.\nCordialement,\nPierre"), Some(Some("Pierre")));
        assert_eq!(signed("Hecho.\nUn saludo,\nPedro"), Some(Some("Pedro")));
        assert_eq!(signed("Fatto.\nCordiali saluti\nPietro"), Some(Some("Pietro")));
        assert_eq!(signed("Klaar.\nMet vriendelijke groet,\nPieter van Dam"), Some(Some("Pieter van Dam")));
        assert_eq!(signed("Feito.\nAtenciosamente,\nPedro"), Some(Some("Pedro")));
        assert_eq!(signed("Thanks,\n- Peter"), Some(Some("Peter")));
        assert_eq!(signed("Kind regards\n[Your Name]"), Some(Some("[Your Name]")));
        assert_eq!(signed("All done.\nRegards,"), Some(None));
        assert_eq!(signed("Thanks for your mail.\nIt is done."), None);
        assert_eq!(signed("Best of all, it works."), None);
    }
}
