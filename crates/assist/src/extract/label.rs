//! What a property is called, and how well the words around an expression say that it is meant.

use rejoinder_domain::Span;

use super::schema::Property;

/// Words for the same thing in English, German, French, Spanish, Italian, Dutch and Portuguese.
const SYNONYMS: [&[&str]; 34] = [
    &["invoice", "bill", "rechnung", "facture", "factura", "fattura", "factuur", "fatura", "inv", "rg"],
    &[
        "order",
        "purchase",
        "bestellung",
        "bestell",
        "auftrag",
        "auftrags",
        "commande",
        "pedido",
        "ordine",
        "bestelling",
        "encomenda",
        "po",
    ],
    &[
        "number",
        "no",
        "nr",
        "num",
        "nummer",
        "numéro",
        "numero",
        "número",
        "id",
        "identifier",
        "reference",
        "ref",
        "referenz",
        "code",
        "kennung",
        "zeichen",
        "#",
    ],
    &["date", "datum", "fecha", "data", "day", "tag", "jour"],
    &[
        "due",
        "fällig",
        "fälligkeit",
        "fälligkeits",
        "zahlbar",
        "échéance",
        "vencimiento",
        "scadenza",
        "vervaldatum",
        "deadline",
        "payable",
        "vencimento",
    ],
    &[
        "amount",
        "betrag",
        "summe",
        "montant",
        "importe",
        "importo",
        "bedrag",
        "sum",
        "price",
        "preis",
        "prix",
        "precio",
        "prezzo",
        "prijs",
        "cost",
        "costs",
        "kosten",
        "fee",
        "gebühr",
        "value",
        "wert",
        "valor",
        "charge",
        "charged",
        "total",
        "gesamt",
        "gesamtbetrag",
        "totale",
        "totaal",
        "fare",
        "rent",
        "balance",
    ],
    &["customer", "kunde", "kunden", "client", "cliente", "klant"],
    &["name", "nom", "nombre", "nome", "naam"],
    &[
        "phone",
        "telephone",
        "tel",
        "telefon",
        "téléphone",
        "teléfono",
        "telefono",
        "telefoon",
        "telefone",
        "mobile",
        "mobil",
        "handy",
        "móvil",
        "cell",
        "rufnummer",
        "fax",
    ],
    &["email", "mail", "courriel", "correo", "e-mail"],
    &["address", "adresse", "dirección", "indirizzo", "adres", "anschrift", "endereço"],
    &[
        "delivery",
        "lieferung",
        "liefer",
        "livraison",
        "entrega",
        "consegna",
        "levering",
        "shipping",
        "shipment",
        "versand",
        "ship",
        "delivered",
    ],
    &[
        "quantity",
        "menge",
        "anzahl",
        "stück",
        "quantité",
        "cantidad",
        "quantità",
        "aantal",
        "qty",
        "count",
        "units",
        "pieces",
    ],
    &["discount", "rabatt", "remise", "descuento", "sconto", "korting", "desconto", "skonto"],
    &["tax", "vat", "mwst", "ust", "steuer", "tva", "iva", "btw", "umsatzsteuer", "mehrwertsteuer"],
    &["contract", "vertrag", "vertrags", "contrat", "contrato", "contratto"],
    &["account", "konto", "compte", "cuenta", "conto", "rekening", "conta"],
    &[
        "start", "begin", "begins", "beginn", "début", "inicio", "inizio", "from", "ab", "von", "depuis", "desde",
        "dal", "vanaf",
    ],
    &[
        "end", "ende", "ends", "fin", "fine", "einde", "until", "bis", "till", "hasta", "jusqu", "al", "tot", "expiry",
        "expires",
    ],
    &[
        "payment",
        "pay",
        "paid",
        "zahlung",
        "bezahlt",
        "gezahlt",
        "überwiesen",
        "paiement",
        "payé",
        "pago",
        "pagado",
        "pagamento",
        "betaling",
        "betaald",
    ],
    &[
        "refund",
        "refunded",
        "erstattung",
        "erstattet",
        "remboursement",
        "reembolso",
        "rimborso",
        "terugbetaling",
        "gutschrift",
        "credit",
    ],
    &["ticket", "case", "fall", "vorgang", "anfrage", "request", "incident"],
    &["city", "stadt", "ville", "ciudad", "città", "stad", "cidade", "town"],
    &["country", "land", "pays", "país", "paese"],
    &["street", "strasse", "straße", "rue", "calle", "via", "straat", "rua"],
    &["postcode", "zip", "plz", "postal", "postleitzahl", "cp", "cap"],
    &["net", "netto", "neto"],
    &["gross", "brutto", "bruto", "lordo"],
    &["birth", "born", "geburt", "geburts", "geboren", "naissance", "nacimiento", "nascita"],
    &["website", "site", "webseite", "url", "link", "web", "homepage"],
    &["company", "firma", "société", "empresa", "azienda", "bedrijf", "organisation", "organization"],
    &["subject", "betreff", "objet", "asunto", "oggetto", "onderwerp"],
    &["tracking", "sendung", "sendungs", "parcel", "paket", "colis"],
    &["serial", "seriennummer", "serien", "série", "serie"],
];

/// Words of names that many properties share: they tell the kind of value, not which one.
const GENERIC: [&str; 14] = [
    "number",
    "id",
    "date",
    "amount",
    "name",
    "code",
    "no",
    "value",
    "total",
    "ref",
    "reference",
    "time",
    "address",
    "of",
];

/// One word of a property's name with what may stand for it.
#[derive(Debug, Clone)]
struct Term {
    word: String,
    synonyms: Vec<&'static str>,
    weight: f32,
}

/// What a property is called.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    /// Each way to name it: the property's name, its titles.
    names: Vec<Vec<Term>>,
    /// Words of its description that say more than its names.
    description: Vec<String>,
}

/// How far before an expression its label may stand, and how far after, in characters.
const BEFORE: usize = 80;
const AFTER: usize = 28;

impl Labels {
    /// The labels of a property.
    pub(crate) fn of(property: &Property) -> Self {
        let mut names: Vec<Vec<Term>> = Vec::new();
        let last = property.path.last().map(String::as_str).unwrap_or_default();
        // What a property is inside of belongs to its name: `customer` / `email`.
        let parent = property.path.len().checked_sub(2).and_then(|index| property.path.get(index));
        let whole = format!("{} {last}", parent.map(String::as_str).unwrap_or_default());
        for name in property.titles.iter().map(String::as_str).chain([last, whole.as_str()]) {
            let terms = words_of_name(name).into_iter().map(term).collect::<Vec<_>>();
            if !terms.is_empty() {
                names.push(terms);
            }
        }
        let said = |word: &String| names.iter().flatten().any(|term| matches_word(term, word).is_some());
        let description =
            words_of_name(&property.description).into_iter().filter(|word| word.chars().count() > 3 && !said(word));
        let description = description.take(24).collect();
        Self { names, description }
    }

    /// Whether any word of the property's names or description is one of `words` or a synonym of one.
    pub(crate) fn mention(&self, words: &[&str]) -> bool {
        let named =
            self.names.iter().flatten().any(|term| {
                words.contains(&term.word.as_str()) || words.iter().any(|word| term.synonyms.contains(word))
            });
        named || self.description.iter().any(|word| words.contains(&word.as_str()))
    }

    /// Whether the last word of a name is one of `words`: what kind of thing the property is.
    pub(crate) fn ends_with(&self, words: &[&str]) -> bool {
        let last = self.names.iter().filter_map(|terms| terms.last());
        last.into_iter().any(|term| {
            words.contains(&term.word.as_str())
                || words.iter().any(|word| term.synonyms.contains(word) && *word == term.word)
        })
    }

    /// How well the words around `span` name the property, 0 to 1. The words before count up to the end of the last
    /// expression (`boundary`) or of the line before, for what stands there is named by them; the nearer the better.
    pub(crate) fn around(&self, text: &str, span: Span, boundary: usize) -> f32 {
        let before = window_before(text, span.start(), boundary);
        let after = window_after(text, span.end());
        let before: Vec<String> = words(before).collect();
        let after: Vec<String> = words(after).collect();
        let near = |distance: usize| 1.0 / (1.0 + 0.12 * distance as f32);
        let place = |term: &Term| {
            let found =
                |(distance, word): (usize, &String)| matches_word(term, word).map(|quality| quality * near(distance));
            let ahead = before.iter().rev().enumerate().filter_map(found).fold(0.0_f32, f32::max);
            let behind = after.iter().enumerate().filter_map(found).fold(0.0_f32, f32::max);
            ahead.max(0.7 * behind)
        };
        let score = |terms: &Vec<Term>| {
            let all: f32 = terms.iter().map(|term| term.weight).sum();
            terms.iter().map(|term| term.weight * place(term)).sum::<f32>() / all.max(f32::EPSILON)
        };
        let named = self.names.iter().map(score).fold(0.0_f32, f32::max);
        let stems: Vec<String> = before.iter().chain(&after).map(|word| stem(word)).collect();
        let described = self.description.iter().filter(|word| stems.contains(&stem(word))).count();
        (named + 0.12 * described.min(3) as f32).min(1.0)
    }

    /// How well a label (the words before a colon) names the property, 0 to 1: both all of the property's words and
    /// nothing but them.
    pub(crate) fn named_by(&self, label: &str) -> f32 {
        let label: Vec<String> = words(label).collect();
        if label.is_empty() || label.len() > 6 {
            return 0.0;
        }
        let score = |terms: &Vec<Term>| {
            let all: f32 = terms.iter().map(|term| term.weight).sum();
            let quality =
                |term: &Term| label.iter().filter_map(|word| matches_word(term, word)).fold(0.0_f32, f32::max);
            let covered = terms.iter().map(|term| term.weight * quality(term)).sum::<f32>() / all.max(f32::EPSILON);
            let meant = label.iter().filter(|word| terms.iter().any(|term| matches_word(term, word).is_some())).count();
            let precise = meant as f32 / label.len() as f32;
            if covered + precise == 0.0 { 0.0 } else { 2.0 * covered * precise / (covered + precise) }
        };
        self.names.iter().map(score).fold(0.0_f32, f32::max)
    }
}

fn term(word: String) -> Term {
    let weight = if GENERIC.contains(&word.as_str()) { 0.5 } else { 1.0 };
    let groups =
        SYNONYMS.iter().filter(|group| group.contains(&word.as_str()) || group.contains(&stem(&word).as_str()));
    let synonyms = groups.flat_map(|group| group.iter().copied()).collect();
    Term { word, synonyms, weight }
}

/// How well a word of the text is a property's word: 1 for the word itself, less for a synonym or a part of a compound
/// (`Rechnungsnummer` is both `invoice` and `number`).
fn matches_word(term: &Term, word: &str) -> Option<f32> {
    let stemmed = stem(word);
    if stemmed == stem(&term.word) {
        return Some(1.0);
    }
    if term.synonyms.contains(&word) || term.synonyms.contains(&stemmed.as_str()) {
        return Some(0.85);
    }
    let long = |part: &&str| part.chars().count() >= 5;
    let parts = term.synonyms.iter().copied().chain([term.word.as_str()]).filter(|part| long(part) || *part == "datum");
    let compound =
        word.chars().count() >= 8 && parts.into_iter().any(|part| word.starts_with(part) || word.ends_with(part));
    compound.then_some(0.8)
}

/// Lower-cased words of an identifier or text: `dueDate`, `due_date`, `Due date`.
fn words_of_name(name: &str) -> Vec<String> {
    let mut divided = String::with_capacity(name.len() + 4);
    let mut previous_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && previous_lower {
            divided.push(' ');
        }
        previous_lower = c.is_lowercase() || c.is_numeric();
        divided.push(c);
    }
    words(&divided).collect()
}

/// Lower-cased words; `#` is one.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    let text = text.replace("E-Mail", "email").replace("e-mail", "email").replace('#', " # ");
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '#'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.into_iter()
}

/// The word without the endings of plural and tense: enough to compare, not a stemmer.
pub(crate) fn stem(word: &str) -> String {
    let count = word.chars().count();
    for (ending, least) in [("ing", 7), ("ies", 6), ("ed", 6), ("es", 6), ("en", 6), ("s", 4), ("e", 5)] {
        if count >= least
            && let Some(stem) = word.strip_suffix(ending)
            && !stem.ends_with('s')
        {
            return stem.to_owned();
        }
    }
    word.to_owned()
}

/// The part of the line before `at`, not before `boundary`.
fn window_before(text: &str, at: usize, boundary: usize) -> &str {
    let head = text.get(..at).unwrap_or_default();
    // Nothing further back than this is in the window, so that a long line costs no more than a short one.
    let far = head.char_indices().rev().nth(BEFORE).map_or(0, |(index, _)| index);
    let (from, head) = (far, head.get(far..).unwrap_or_default());
    let line = head.rfind('\n').map_or(0, |end| end + 1);
    // A label may stand alone on the line above: a value at the line's start looks one line up.
    let line = if head.get(line..).is_some_and(|rest| rest.trim().is_empty()) && line > 0 {
        head.get(..line - 1).and_then(|above| above.rfind('\n')).map_or(0, |end| end + 1)
    } else {
        line
    };
    head.get(line.max(boundary.min(at).saturating_sub(from))..).unwrap_or_default()
}

/// The part of the sentence after `at`.
fn window_after(text: &str, at: usize) -> &str {
    let tail = text.get(at..).unwrap_or_default();
    let far = tail.char_indices().nth(AFTER).map_or(tail.len(), |(index, _)| index);
    let window = tail.get(..far).unwrap_or_default();
    let end = window.find(['\n', ';', ',', '.', '?', '!', ':']).unwrap_or(window.len());
    window.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rejoinder_domain::Span;

    use super::super::schema::{Kind, Property};
    use super::Labels;

    fn labels(name: &str, title: &str, description: &str) -> Labels {
        Labels::of(&Property {
            path: vec![name.to_owned()],
            titles: Some(title.to_owned()).filter(|title| !title.is_empty()).into_iter().collect(),
            description: description.to_owned(),
            kind: Kind::Boolean,
            list: None,
        })
    }

    #[test]
    fn lines_with_a_label_name_their_property_in_several_languages() {
        let invoice = labels("invoice_number", "", "");
        for label in [
            "Invoice number",
            "Invoice no.",
            "Rechnungsnummer",
            "Rechnungs-Nr.",
            "Numéro de facture",
            "Invoice #",
            "Invoice ID",
        ] {
            assert!(invoice.named_by(label) > 0.7, "{label}: {}", invoice.named_by(label));
        }
        for label in ["Order number", "Datum", "Number of days since the last of our invoice runs", "Name", ""] {
            assert!(invoice.named_by(label) < 0.7, "{label}: {}", invoice.named_by(label));
        }
        assert!(labels("dueDate", "", "").named_by("Fälligkeitsdatum") > 0.7);
        assert!(labels("x1", "Delivery date", "").named_by("Delivery date") > 0.9);
    }

    #[test]
    fn the_nearer_label_is_meant() {
        let text = "Invoice date: 12.03.2024, due date: 20.03.2024";
        let (first, second) = (text.find("12.").unwrap(), text.find("20.").unwrap());
        let span = |at| Span::new(at, at + 10).unwrap();
        let (invoice, due) = (labels("invoice_date", "", ""), labels("due_date", "", ""));
        let boundary = first + 10;
        assert!(invoice.around(text, span(first), 0) > due.around(text, span(first), 0));
        assert!(due.around(text, span(second), boundary) > invoice.around(text, span(second), boundary));
    }
}
