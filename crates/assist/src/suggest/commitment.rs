//! Promises in a draft that nobody of ours has made: refunds, guarantees, times.
//!
//! English, German, French, Spanish and Portuguese. A list of words finds what is said plainly; it errs towards
//! finding, for a person reads what it marks.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use rejoinder_domain::Span;
use rejoinder_recognise::constant_pattern;

/// A promise in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commitment {
    /// Where.
    pub(crate) span: Span,
    /// What makes two promises the same, whatever the language: its kind, and for a time how long.
    pub(crate) key: String,
}

/// Kind and pattern. In German and French what is done may stand far from who does it; in the others it follows.
const PROMISES: [(&str, &str); 35] = [
    (
        "refund",
        concat!(
            r"\b(?:we|i)EN(?:refund\w*|reimburs\w+|credit(?:ed)?|pa(?:y|id) (?:you )?back|return(?:ed)? (?:your|the) money|(?:issu|process|initiat|arrang)\w+ (?:you )?(?:a |the |your )?(?:full |partial )?(?:refund|credit|reimbursement))\b",
            r"|\b(?:refund|reimbursement|money|amount|credit) (?:will|has|have|is|was|shall)(?: now| already| being| be| been){0,2} (?:issued|processed|returned|refunded|credited|transferred|initiated|approved|paid)\b",
            r"|\byou(?:'ll| will| shall)(?: \w+)? (?:be (?:refunded|reimbursed|credited)|(?:receive|get|have) (?:\w+ ){0,3}(?:refund|reimbursement|credit|money))\b"
        ),
    ),
    (
        "refund",
        concat!(
            r"\b(?:wir|ich)\bDE\b(?:(?:rück|zurück)?erstatt\w*|zurücküberw\w+|zurückzahl\w*|überweisen|überwiesen|gutschreib\w*|gutgeschrieben)\b",
            r"|\b(?:betrag|geld|summe|kaufpreis|erstattung|rückerstattung|gutschrift)\b(?: \w+){0,8}? (?:erstattet|überwiesen|gutgeschrieben|veranlasst|ausgezahlt)\b",
            r"|\bsie (?:erhalten|bekommen)\bDE\b(?:erstattung|rückerstattung|gutschrift|geld zurück)\b"
        ),
    ),
    (
        "refund",
        r"\b(?:nous|je)\bFR\b(?:rembours\w+|recrédit\w+|crédit(?:ons|erons|é))\b|\bvous (?:recevrez|serez|allez|obtiendrez)\bFR\b(?:rembours\w+|avoir|crédit\w*)\b|\bremboursement (?:sera|a été|est) \w+",
    ),
    (
        "refund",
        r"\b(?:reembols(?:aremos|aré|amos|ado)|devolveremos|devolveré|(?:vamos|voy) a (?:\w+ )?(?:reembolsar\w*|devolver\w*|abonar\w*)|abonaremos|hemos (?:reembolsado|devuelto|abonado))\b|\brecibirá\w* (?:\w+ ){0,4}(?:reembolso|devolución|abono)\b|\b(?:reembolso|devolución) (?:será|se ha|ha sido|se hará)\b",
    ),
    (
        "refund",
        r"\b(?:reembols(?:aremos|arei|ámos|amos)|devolveremos|devolverei|(?:vamos|vou|iremos|irei) (?:\w+ )?(?:reembolsar\w*|devolver\w*))\b|\breceberá (?:\w+ ){0,4}(?:reembolso|devolução|crédito|estorno)\b|\breembolso (?:será|foi) \w+",
    ),
    (
        "replacement",
        r"\b(?:we|i)EN(?:replac\w+|exchang\w+|sen[dt](?:ing)? (?:you )?(?:out )?(?:a |the |your )?(?:new|replacement|spare)\b)|\byou(?:'ll| will| shall) (?:receive|get) (?:\w+ ){0,2}(?:replacement|new (?:device|unit|item|one))\b|\breplacement (?:will|has|is) (?:be |been |being )?\w+",
    ),
    (
        "replacement",
        r"\b(?:wir|ich)\bDE\b(?:ersetzen|umtausch\w*|tauschen|ausgetauscht|austausch\w*|ersatz\w*)\b|\bsie (?:erhalten|bekommen)\bDE\bersatz\w*",
    ),
    (
        "replacement",
        r"\b(?:nous|je)\bFR\b(?:remplac\w+|échang(?:eons|erons|é))\b|\bvous recevrez\bFR\b(?:remplacement|un nouvel|une nouvelle)\b",
    ),
    (
        "replacement",
        r"\b(?:reemplazaremos|sustituiremos|cambiaremos|vamos a (?:\w+ )?(?:reemplazar\w*|sustituir\w*|cambiar\w*)|hemos (?:reemplazado|sustituido))\b|\brecibirá\w* (?:\w+ ){0,2}(?:reemplazo|nuevo|nueva)\b",
    ),
    (
        "replacement",
        r"\b(?:substituiremos|trocaremos|(?:vamos|iremos) (?:\w+ )?(?:substituir\w*|trocar\w*))\b|\breceberá (?:\w+ ){0,2}(?:substituição|novo|nova)\b",
    ),
    (
        "compensation",
        r"\b(?:we|i)EN(?:(?:offer|giv|gave|grant|appl|provid)\w*\b[^.!?\n]{0,40}\b(?:discount|voucher|coupon|compensation|goodwill|free)|compensat\w+|waiv\w+)\b|\b(?:free of charge|at no (?:extra |additional )?(?:cost|charge))\b",
    ),
    (
        "compensation",
        r"\b(?:wir|ich)\bDE\b(?:rabatt\w*|gutschein\w*|entschädig\w*|nachlass\w*|kulanz\w*|erlassen)\b|\bkostenlos\w*|\bkostenfrei\w*|\bunentgeltlich\w*",
    ),
    (
        "compensation",
        r"\b(?:nous|je)\bFR\b(?:remise|bon d'achat|réduction|dédommag\w+|geste commercial|rabais)\b|\b(?:gratuitement|sans frais)\b",
    ),
    (
        "compensation",
        r"\b(?:ofrecemos|ofreceremos|aplicaremos|concederemos|compensaremos|vamos a (?:\w+ )?(?:compensar\w*|ofrecer\w*|aplicar\w*))\b|\b(?:gratis|gratuitamente|sin (?:coste|costo)(?: adicional)?)\b",
    ),
    (
        "compensation",
        r"\b(?:oferecemos|ofereceremos|aplicaremos|concederemos|compensaremos|(?:vamos|iremos) (?:\w+ )?(?:compensar\w*|oferecer\w*))\b|\b(?:grátis|gratuitamente|sem custos?(?: adicional| adicionais)?)\b",
    ),
    (
        "guarantee",
        r"\b(?:we|i)EN(?:guarantee\w*|promis\w+|assur\w+|commit(?:ted)? to)\b|\bis guaranteed\b|\brest assured\b|\byou have (?:our|my) word\b",
    ),
    (
        "guarantee",
        r"\b(?:wir|ich)\b(?: \w+){0,3} (?:garantieren?|versprechen?|versichern?|sichern?|gewährleisten?|verpflichten)\b|\b(?:garantieren?|verspreche\w*|versicher[en]\w*|sichern?) (?:wir|ich) (?:ihnen|dir)\b|\bgarantiert\b",
    ),
    (
        "guarantee",
        r"\b(?:nous|je)(?: vous)? (?:garanti\w+|promet\w+|assur\w+|engage\w*)\b|\bnous nous engageons\b|\b(?:est|sera) garanti\w*",
    ),
    (
        "guarantee",
        r"\b(?:garantizamos|prometemos|aseguramos|garantizo|prometo|aseguro|nos comprometemos)\b|\bestá garantizad[oa]\b",
    ),
    (
        "guarantee",
        r"\b(?:garantimos|prometemos|asseguramos|garanto|prometo|asseguro|comprometemo-nos|nos comprometemos)\b|\bestá garantid[oa]\b",
    ),
    (
        "cancellation",
        r"\b(?:we|i)EN(?:cancel\w*|terminat\w+|delet\w+)\b|\b(?:has|have) been (?:cancel\w+|terminated|deleted)\b",
    ),
    (
        "cancellation",
        r"\b(?:wir|ich)\bDE\b(?:stornier\w*|gekündigt|kündigen|gelöscht|löschen)\b|\b(?:wurde|wird|ist)\b(?: \w+){0,4} (?:storniert|gekündigt|gelöscht)\b",
    ),
    (
        "cancellation",
        r"\b(?:nous|je)\bFR\b(?:annul\w+|résili\w+|supprim\w+)\b|\b(?:a été|est|sera) (?:annulé|résilié|supprimé)\w*",
    ),
    (
        "cancellation",
        r"\b(?:cancelaremos|anularemos|hemos (?:cancelado|anulado|eliminado)|vamos a (?:cancelar|anular|eliminar)\w*|(?:ha sido|será) (?:cancelad|anulad|eliminad)[oa])\b",
    ),
    (
        "cancellation",
        r"\b(?:cancelaremos|anularemos|cancelámos|(?:vamos|iremos) (?:cancelar|anular|eliminar)|(?:foi|será) (?:cancelad|anulad|eliminad)[oa])\b",
    ),
    (
        "delivery",
        r"\b(?:we|i)EN(?:ship(?:ped|ping)?|dispatch\w*|deliver(?:ed|ing)?|mail(?:ed)? (?:you|it))\b|\b(?:will|has|have) (?:be|been|be being) (?:shipped|dispatched|delivered)\b|\b(?:will arrive|will reach you)\b",
    ),
    (
        "delivery",
        r"\b(?:wir|ich)\bDE\b(?:versend\w*|versandt|verschick\w*|liefern|geliefert|zugeschickt|zusenden)\b|\b(?:wird|wurde)\b(?: \w+){0,6} (?:geliefert|versandt|verschickt|zugestellt)\b",
    ),
    ("delivery", r"\b(?:nous|je)\bFR\b(?:expédi\w+|livr(?:ons|erons|é\w*))\b|\b(?:sera|a été) (?:expédié|livré)\w*"),
    (
        "delivery",
        r"\b(?:enviaremos|entregaremos|hemos (?:enviado|entregado)|vamos a (?:enviar|entregar)\w*|(?:será|ha sido) (?:enviad|entregad)[oa]|llegará)\b",
    ),
    (
        "delivery",
        r"\b(?:enviaremos|entregaremos|enviámos|(?:vamos|iremos) (?:enviar|entregar)|(?:será|foi) (?:enviad|entregu|entregad)[oae]|chegará)\b",
    ),
    (
        "repair",
        r"\b(?:we|i)EN(?:repair\w*|fix(?:ed|ing)?|resolv\w+|correct(?:ed|ing)?)\b|\b(?:will be|has been|have been) (?:repaired|fixed|resolved|corrected)\b",
    ),
    (
        "repair",
        r"\b(?:wir|ich)\bDE\b(?:repar\w+|beheben|behoben|korrigier\w*|instand\w*)\b|\b(?:wird|wurde)\b(?: \w+){0,4} (?:repariert|behoben|korrigiert)\b",
    ),
    (
        "repair",
        r"\b(?:nous|je)\bFR\b(?:répar\w+|corrig\w+|résou\w+|résol\w+)\b|\b(?:sera|a été) (?:réparé|corrigé|résolu)\w*",
    ),
    (
        "repair",
        r"\b(?:repararemos|corregiremos|solucionaremos|hemos (?:reparado|corregido|solucionado)|vamos a (?:reparar|corregir|solucionar)\w*)\b",
    ),
    (
        "repair",
        r"\b(?:repararemos|corrigiremos|resolveremos|reparámos|corrigimos|(?:vamos|iremos) (?:reparar|corrigir|resolver))\b",
    ),
];

/// What may stand between who promises and what, by language.
const BETWEEN: [(&str, &str); 3] = [
    (
        "EN",
        r"(?:'ll|'ve|'m|'re)?(?: (?:will|shall|have|has|had|are|am|can|could|do|going|to|be|now|also|already|just|of course|happy|glad|pleased|able|hereby|\w+ly)){0,6} ",
    ),
    ("DE", r"[^.!?\n]{0,90}?"),
    ("FR", r"[^.!?\n]{0,40}?"),
];

/// Words that turn a promise into its opposite, or into no promise.
static NEGATED: LazyLock<Regex> = LazyLock::new(|| {
    constant_pattern(
        r"(?i)\b(?:not|cannot|can't|won't|unable|never|no|without|nicht|kein\w*|nie|ohne|pas|aucun\w*|jamais|sans|nunca|tampoco|não|sem|nem|if|whether|ob|falls|wenn|si|se)\b",
    )
});

static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let expand = |pattern: &str| {
        let whole = BETWEEN.iter().fold(pattern.to_owned(), |pattern, (name, between)| pattern.replace(name, between));
        whole.replace('\'', "['’]")
    };
    PROMISES.iter().map(|(kind, pattern)| (*kind, constant_pattern(&format!("(?i)(?:{})", expand(pattern))))).collect()
});

/// Spans of time that begin now, and days by which something is to happen.
static TIMES: LazyLock<Regex> = LazyLock::new(|| {
    const NUMBER: &str = r"(?P<n>\d+(?: ?(?:-|–|to|bis|à|a) ?\d+)?|an?|one|two|three|four|five|seven|ten|few|eine[mnrs]?|zwei|drei|vier|fünf|sieben|zehn|wenige[nr]?|une?|deux|trois|quelques|una?|dos|tres|pocos|pocas|uma?|dois|duas|três|poucos|poucas)";
    const DAY: &str = r"(?P<day>tomorrow|today|monday|tuesday|wednesday|thursday|friday|saturday|sunday|next week|the end of (?:the )?(?:day|week|month)|heute|morgen|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|ende der woche|ende des (?:tages|monats)|nächste woche|demain|aujourd'hui|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|la fin (?:de la semaine|du mois)|mañana|hoy|lunes|martes|miércoles|jueves|viernes|sábado|domingo|fin de (?:semana|mes)|amanhã|hoje|segunda(?:-feira)?|terça(?:-feira)?|quarta(?:-feira)?|quinta(?:-feira)?|sexta(?:-feira)?|o fim (?:da semana|do mês))";
    constant_pattern(&format!(
        r"(?i)\b(?:within|in|innerhalb(?: von)?|binnen|sous|dans(?: un délai de)?|d'ici|en(?: un plazo de)?|dentro de|em(?: até)?|no prazo de)(?: the next| the| den nächsten| les prochain\w*| las próximas| los próximos| nas próximas)? {NUMBER}[ -]?(?:(?:business|working|full) )?(?P<unit>(?:werk|arbeits)?(?:minut|hour|stunde|heure|hora|day|tag|jour|día|dia|week|woche|semaine|semana|month|monat|mois|mes|mês)\w*)\b|\b(?:by|until|no later than|bis(?: spätestens)?(?: zum)?|d'ici(?: à)?|avant|antes del?|para el|até) {DAY}\b"
    ))
});

/// Every promise in `text`, in order of the list.
pub(crate) fn commitments(text: &str) -> Vec<Commitment> {
    let mut found: Vec<Commitment> = Vec::new();
    for (kind, pattern) in PATTERNS.iter() {
        for place in pattern.find_iter(text) {
            if NEGATED.is_match(place.as_str()) || is_negated_before(text, place.start()) {
                continue;
            }
            // Spanish and Portuguese share words; the same promise counts once.
            let is_known = found.iter().any(|other| {
                other.key == *kind && other.span.start() < place.end() && place.start() < other.span.end()
            });
            let span = Span::new(place.start(), place.end()).filter(|_| !is_known);
            found.extend(span.map(|span| Commitment { span, key: (*kind).to_owned() }));
        }
    }
    for captures in TIMES.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        let part = |name: &str| captures.name(name).map(|part| part.as_str().to_lowercase());
        let key = match (part("n"), part("unit"), part("day")) {
            (Some(number), Some(unit), _) => format!("time {} {}", plain_number(&number), plain_unit(&unit)),
            (_, _, Some(day)) => format!("time {}", plain_day(&day)),
            _ => continue,
        };
        found.extend(Span::new(whole.start(), whole.end()).map(|span| Commitment { span, key }));
    }
    found
}

/// The promises of `draft` that none of `ours` makes, verbatim: `ours` are texts that our side wrote or asked for.
pub(crate) fn unsupported(draft: &str, ours: &[&str]) -> Vec<String> {
    let made: BTreeSet<String> =
        ours.iter().flat_map(|text| commitments(text)).map(|commitment| commitment.key).collect();
    let mut words: Vec<String> = Vec::new();
    for commitment in commitments(draft).into_iter().filter(|commitment| !made.contains(&commitment.key)) {
        let said = commitment.span.of(draft).unwrap_or_default().trim().to_owned();
        if !words.contains(&said) {
            words.push(said);
        }
    }
    words
}

/// Whether a condition or negation stands right before the promise in its clause: `If we refund you, ...`.
fn is_negated_before(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let clause = before.rsplit(['.', '!', '?', '\n', ',', ';']).next().unwrap_or_default();
    let last: Vec<&str> = clause.split_whitespace().rev().take(2).collect();
    last.iter().any(|word| NEGATED.is_match(word))
}

fn plain_number(number: &str) -> String {
    let words = [
        (
            "1",
            &["a", "an", "one", "ein", "eine", "einem", "einen", "einer", "eines", "un", "une", "una", "um", "uma"][..],
        ),
        ("2", &["two", "zwei", "deux", "dos", "dois", "duas"]),
        ("3", &["three", "drei", "trois", "tres", "três"]),
        ("4", &["four", "vier"]),
        ("5", &["five", "fünf"]),
        ("7", &["seven", "sieben"]),
        ("10", &["ten", "zehn"]),
    ];
    let known = words.iter().find(|(_, words)| words.contains(&number)).map(|(digits, _)| *digits);
    let digits: String = number.chars().map(|c| if c.is_ascii_digit() { c } else { ' ' }).collect();
    let digits = digits.split_whitespace().collect::<Vec<_>>().join("-");
    known.map_or_else(|| if digits.is_empty() { "few".to_owned() } else { digits }, str::to_owned)
}

fn plain_unit(unit: &str) -> &'static str {
    let unit = unit.trim_start_matches("werk").trim_start_matches("arbeits");
    let begins = |starts: &[&str]| starts.iter().any(|start| unit.starts_with(start));
    match () {
        () if begins(&["minut"]) => "minute",
        () if begins(&["hour", "stunde", "heure", "hora"]) => "hour",
        () if begins(&["day", "tag", "jour", "día", "dia"]) => "day",
        () if begins(&["week", "woche", "sem"]) => "week",
        () => "month",
    }
}

fn plain_day(day: &str) -> &str {
    const DAYS: [(&str, [&str; 5]); 9] = [
        ("tomorrow", ["tomorrow", "morgen", "demain", "mañana", "amanhã"]),
        ("today", ["today", "heute", "aujourd'hui", "hoy", "hoje"]),
        ("monday", ["monday", "montag", "lundi", "lunes", "segunda"]),
        ("tuesday", ["tuesday", "dienstag", "mardi", "martes", "terça"]),
        ("wednesday", ["wednesday", "mittwoch", "mercredi", "miércoles", "quarta"]),
        ("thursday", ["thursday", "donnerstag", "jeudi", "jueves", "quinta"]),
        ("friday", ["friday", "freitag", "vendredi", "viernes", "sexta"]),
        ("saturday", ["saturday", "samstag", "samedi", "sábado", "sábado"]),
        ("sunday", ["sunday", "sonntag", "dimanche", "domingo", "domingo"]),
    ];
    let plain = day.trim_end_matches("-feira");
    DAYS.iter().find(|(_, words)| words.contains(&plain)).map_or(day, |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::{commitments, unsupported};

    #[test]
    fn promises_in_five_languages() {
        let table: [(&str, &[&str]); 40] = [
            ("We will refund you the full amount.", &["refund"]),
            ("Your refund has been issued.", &["refund"]),
            ("You will receive a full refund.", &["refund"]),
            ("We guarantee that it works.", &["guarantee"]),
            ("I have cancelled your order.", &["cancellation"]),
            ("We'll gladly send you a new charger.", &["replacement"]),
            ("We can offer you a 10 % discount.", &["compensation"]),
            ("It will be shipped within 24 hours.", &["delivery", "time 24 hour"]),
            ("We have fixed the error.", &["repair"]),
            ("You will hear from us by Friday.", &["time friday"]),
            ("Wir erstatten Ihnen den Betrag.", &["refund"]),
            ("Wir werden Ihnen den vollen Kaufpreis zurückerstatten.", &["refund"]),
            ("Der Betrag wird Ihnen in 3 Tagen gutgeschrieben.", &["refund", "time 3 day"]),
            ("Wir garantieren Ihnen die Lieferung bis Freitag.", &["guarantee", "time friday"]),
            ("Wir haben Ihre Bestellung storniert.", &["cancellation"]),
            ("Sie erhalten ein Ersatzgerät.", &["replacement"]),
            ("Die Reparatur ist für Sie kostenlos.", &["compensation"]),
            ("Nous vous rembourserons le montant.", &["refund"]),
            ("Votre remboursement sera effectué sous 5 jours.", &["refund", "time 5 day"]),
            ("Nous vous garantissons la livraison.", &["guarantee"]),
            ("Nous avons annulé votre commande.", &["cancellation"]),
            ("Nous allons remplacer l'appareil.", &["replacement"]),
            ("Le reembolsaremos el importe.", &["refund"]),
            ("Recibirá el reembolso en 5 días.", &["refund", "time 5 day"]),
            ("Le garantizamos la entrega.", &["guarantee"]),
            ("Hemos cancelado su pedido.", &["cancellation"]),
            ("Vamos a enviarle otro mañana.", &["delivery"]),
            ("Vamos reembolsar o valor.", &["refund"]),
            ("Receberá o reembolso em 5 dias.", &["refund", "time 5 day"]),
            ("Garantimos a entrega até sexta-feira.", &["guarantee", "time friday"]),
            ("O pedido foi cancelado.", &["cancellation"]),
            // No promises.
            ("We cannot refund you.", &[]),
            ("We will not refund the amount.", &[]),
            ("If we refund you, the licence ends.", &[]),
            ("You can request a refund online.", &[]),
            ("Wir können den Betrag leider nicht erstatten.", &[]),
            ("Nous ne pouvons pas vous rembourser.", &[]),
            ("No podemos ofrecer eso.", &[]),
            ("Please restart the device.", &[]),
            ("Thank you for your order, which was large.", &[]),
        ];
        for (text, expected) in table {
            let keys: Vec<String> = commitments(text).into_iter().map(|commitment| commitment.key).collect();
            assert_eq!(keys, expected, "{text}");
        }
    }

    #[test]
    fn what_we_said_before_may_be_said_again_in_another_language() {
        let draft = "We will refund you within three days.";
        assert_eq!(unsupported(draft, &[]), ["We will refund", "within three days"]);
        assert_eq!(unsupported(draft, &["Wir erstatten Ihnen das Geld innerhalb von 3 Tagen."]), Vec::<String>::new());
        assert_eq!(unsupported(draft, &["Wir erstatten Ihnen das Geld in zwei Wochen."]), ["within three days"]);
    }
}
