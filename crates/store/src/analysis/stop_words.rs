//! Words that are in nearly every text of a language and so tell nothing apart.
//!
//! Short on purpose: BM25 gives a frequent word little weight anyway, and a word that is left out can never be found.
//! Negations stay in the index, since in mail they matter.

use super::Language;

/// The stop words of `language`, lower case, with their diacritics.
pub(super) fn of(language: Language) -> &'static [&'static str] {
    match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
        Language::French => FRENCH,
        Language::Spanish => SPANISH,
        Language::Italian => ITALIAN,
        Language::Dutch => DUTCH,
        Language::Portuguese => PORTUGUESE,
    }
}

const ENGLISH: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "into", "is", "it", "its",
    "may", "me", "might", "my", "of", "on", "or", "our", "shall", "she", "should", "so", "some", "such", "than",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to", "us", "was", "we", "were",
    "what", "when", "where", "which", "while", "who", "why", "will", "with", "would", "you", "your",
    // What apostrophes leave: it's, don't, we'll, I've, they're.
    "s", "t", "ll", "ve", "re", "don", "doesn", "isn", "aren",
];

const GERMAN: &[&str] = &[
    "aber", "als", "am", "an", "auch", "auf", "aus", "bei", "beim", "bin", "bis", "bitte", "da", "dann", "das", "dass",
    "dem", "den", "der", "des", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses", "du", "durch", "ein",
    "eine", "einem", "einen", "einer", "eines", "er", "es", "euch", "für", "fuer", "hat", "hatte", "haben", "habe",
    "ich", "ihm", "ihn", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "im", "in", "ins", "ist", "ja", "kann",
    "können", "mein", "meine", "meinem", "meinen", "meiner", "mich", "mir", "mit", "nach", "noch", "nun", "nur", "ob",
    "oder", "sehr", "sein", "seine", "sich", "sie", "sind", "so", "über", "um", "und", "uns", "unser", "unsere", "vom",
    "von", "vor", "war", "waren", "was", "wenn", "werden", "wie", "wir", "wird", "wo", "wurde", "wurden", "zu", "zum",
    "zur",
];

const FRENCH: &[&str] = &[
    "à", "ai", "au", "aux", "avec", "avez", "avons", "c", "ce", "ces", "cet", "cette", "d", "dans", "de", "des", "du",
    "elle", "elles", "en", "est", "et", "être", "eux", "il", "ils", "j", "je", "l", "la", "le", "les", "leur", "leurs",
    "lui", "m", "ma", "mais", "me", "mes", "moi", "mon", "n", "nos", "notre", "nous", "on", "ont", "ou", "où", "par",
    "pour", "qu", "que", "qui", "s", "sa", "se", "ses", "si", "son", "sont", "sur", "t", "ta", "te", "tes", "toi",
    "ton", "tu", "un", "une", "vos", "votre", "vous", "y",
];

const SPANISH: &[&str] = &[
    "a", "al", "ante", "como", "con", "de", "del", "desde", "donde", "e", "el", "él", "ella", "ellas", "ellos", "en",
    "era", "es", "esa", "ese", "eso", "esta", "está", "están", "este", "esto", "estos", "fue", "ha", "han", "hasta",
    "hay", "he", "la", "las", "le", "les", "lo", "los", "me", "mi", "mis", "muy", "nos", "nosotros", "nuestra",
    "nuestro", "o", "os", "para", "pero", "por", "porque", "que", "qué", "se", "ser", "si", "sí", "son", "su", "sus",
    "también", "te", "tu", "tus", "un", "una", "uno", "unos", "usted", "ustedes", "y", "ya", "yo",
];

const ITALIAN: &[&str] = &[
    "a", "ad", "agli", "ai", "al", "alla", "alle", "allo", "anche", "c", "che", "chi", "ci", "come", "con", "cui", "d",
    "da", "dagli", "dai", "dal", "dalla", "dalle", "degli", "dei", "del", "dell", "della", "delle", "dello", "di", "e",
    "è", "ed", "gli", "ha", "ho", "i", "il", "in", "io", "l", "la", "le", "lei", "li", "lo", "loro", "lui", "ma", "mi",
    "mia", "mio", "ne", "negli", "nei", "nel", "nell", "nella", "nelle", "noi", "nostra", "nostro", "o", "per",
    "perché", "più", "quella", "quello", "questa", "queste", "questi", "questo", "se", "si", "sia", "siamo", "sono",
    "su", "sua", "sul", "sulla", "suo", "ti", "tra", "tu", "un", "una", "uno", "vi", "voi",
];

const DUTCH: &[&str] = &[
    "aan", "al", "als", "bij", "dan", "dat", "de", "der", "deze", "die", "dit", "door", "een", "en", "er", "had",
    "heb", "hebben", "heeft", "hem", "het", "hier", "hij", "hoe", "hun", "ik", "in", "is", "ja", "je", "kan", "kunnen",
    "maar", "me", "met", "mij", "mijn", "naar", "nog", "nu", "of", "om", "onder", "ons", "onze", "ook", "op", "over",
    "te", "tot", "u", "uit", "uw", "van", "voor", "waren", "was", "wat", "we", "wel", "werd", "wij", "wordt", "worden",
    "zal", "ze", "zich", "zij", "zijn", "zo",
];

const PORTUGUESE: &[&str] = &[
    "a", "à", "ao", "aos", "as", "às", "até", "com", "como", "da", "das", "de", "dela", "dele", "do", "dos", "e", "é",
    "ela", "elas", "ele", "eles", "em", "entre", "era", "essa", "esse", "esta", "está", "este", "eu", "foi", "há",
    "isso", "isto", "já", "lhe", "mais", "mas", "me", "mesmo", "meu", "minha", "muito", "na", "nas", "no", "nos",
    "nós", "nossa", "nosso", "o", "os", "ou", "para", "pela", "pelo", "por", "que", "quem", "se", "ser", "seu", "seus",
    "são", "só", "sua", "suas", "também", "te", "tem", "um", "uma", "você", "vocês",
];
