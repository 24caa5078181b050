//! Words that tell what stands beside them, in English, German, French, Spanish, Italian, Dutch and Portuguese, and of the
//! northern and central European languages those that stand in addresses. All folded: lower case, without accents.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use crate::token::WordHash;

/// A set of meanings.
pub(crate) type Tags = u32;

/// A kind of street that follows its name: `Road`.
pub(crate) const STREET_AFTER: Tags = 1;
/// A kind of street before its name: `rue`.
pub(crate) const STREET_BEFORE: Tags = 1 << 1;
/// A word that ends in a kind of street: `Hauptstraße`.
pub(crate) const STREET_WORD: Tags = 1 << 2;
/// A kind of street that is nothing else, with or without a number.
pub(crate) const STREET_SURE: Tags = 1 << 3;
/// A part of a house: `Apt.`.
pub(crate) const UNIT: Tags = 1 << 4;
/// A part of a house that is nothing else.
pub(crate) const UNIT_SURE: Tags = 1 << 5;
/// A post-office box in one word.
pub(crate) const BOX: Tags = 1 << 6;
/// A country, or the first word of one.
pub(crate) const COUNTRY: Tags = 1 << 7;
/// Says that a place follows: `lives`, `address`.
pub(crate) const PLACE_CUE: Tags = 1 << 8;
/// A preposition, article or other small word.
pub(crate) const SMALL: Tags = 1 << 9;
/// A capitalised word before a number that is no street: `Page 12`, `March 5`.
pub(crate) const NO_STREET: Tags = 1 << 10;
/// Stands before a telephone number.
pub(crate) const PHONE_CUE: Tags = 1 << 11;
/// Label of an order, invoice, ticket or similar.
pub(crate) const REFERENCE: Tags = 1 << 12;
/// Label of an account, contract or customer.
pub(crate) const ACCOUNT: Tags = 1 << 13;
/// Label of an official number of a person.
pub(crate) const IDENTITY: Tags = 1 << 14;
/// Label of a date of birth.
pub(crate) const BIRTH: Tags = 1 << 15;
/// Stands between a label and its value: `number`, `is`.
pub(crate) const FILLER: Tags = 1 << 16;
/// Says that a label's value is a number: `number`, `no`.
pub(crate) const NUMBER_WORD: Tags = 1 << 17;
/// Addresses a person: `Mr`, `Frau`.
pub(crate) const TITLE: Tags = 1 << 18;
/// Joins the parts of a family name: `von`, `de`.
pub(crate) const PARTICLE: Tags = 1 << 19;
/// A word that is also a name, and is mostly the word unless it is capitalised.
pub(crate) const COMMON: Tags = 1 << 20;
/// A word that is also a name, and is capitalised as the word too.
pub(crate) const COMMON_CAPITAL: Tags = 1 << 21;
/// A role or firm, never a person: `support`.
pub(crate) const ROLE: Tags = 1 << 22;
/// Label of a postcode.
pub(crate) const POSTCODE_LABEL: Tags = 1 << 23;
/// Unit of a figure: `EUR`, `kg`.
pub(crate) const MEASURE: Tags = 1 << 24;
/// A kind of street that has its number in front, as English ones have.
pub(crate) const STREET_ENGLISH: Tags = 1 << 27;
/// A kind of street only between its number and the end of a part: `5 Nino Point, Logan`.
pub(crate) const STREET_RARE: Tags = 1 << 28;
/// `and` in the languages.
pub(crate) const AND: Tags = 1 << 25;
/// The letters before a number make it a reference: `INV-2024-001`.
pub(crate) const REFERENCE_PREFIX: Tags = 1 << 26;

const WORDS: &[(Tags, &str)] = &[
    (
        STREET_AFTER,
        "street st road rd avenue ave lane ln drive dr court ct square sq place pl terrace crescent cres close way \
         boulevard blvd parkway pkwy highway hwy circle cir trail alley gardens grove mews walk wharf turnpike strasse str \
         weg allee platz gasse damm straat laan plein gracht kade vej gade gate gata vagen utca u ut utja ter tere korut \
         sor koz fasor setany rakpart namesti ulice katu tie terrasse tee puiestee mnt",
    ),
    (
        STREET_ENGLISH,
        "street st road rd avenue ave lane ln drive dr court ct square sq place pl terrace crescent cres close way boulevard \
         blvd parkway pkwy highway hwy circle cir trail alley gardens grove mews walk wharf turnpike",
    ),
    (
        // The United States Postal Service's suffixes (Publication 28, appendix C1) that are words of other meanings too.
        STREET_RARE,
        "annex arcade bayou beach bend bluff bluffs bottom branch bridge brook brooks burg bypass camp canyon cape causeway \
         center centers cliff cliffs club common commons corner corners course cove coves creek crest crossing crossroad \
         curve dale dam divide estate estates expressway extension fall falls ferry field fields flat flats ford forest \
         forge fork forks fort freeway garden gateway glen green harbor haven heights hill hills hollow inlet island \
         islands isle junction key keys knoll knolls lake lakes land landing light lock lodge loop mall manor meadow \
         meadows mill mills mission motorway mount mountain neck orchard oval overpass park parks pass path pike pine \
         pines plain plains plaza point points port prairie ramp ranch rapids rest ridge river run shoal shore shores \
         skyway spring springs spur station stream summit throughway trace track tunnel underpass union valley viaduct \
         view village ville vista wall well wells court courts drive drives circles streets roads avenues squares \
         trails walks ways",
    ),
    (STREET_SURE, "street road avenue boulevard strasse straat utca gracht"),
    (
        STREET_BEFORE,
        "rue avenue av ave boulevard bd blvd chemin impasse allee allees quai route place passage via viale piazza corso \
         largo vicolo strada piazzale contrada calle c avda avenida plaza paseo carrer camino carretera ronda travesia rua \
         r travessa praca estrada alameda ul ulica aleja al plac pl os am zum zur unter λεωφοροσ λεωφορος οδοσ οδος πλατεια",
    ),
    (STREET_SURE, "rue calle rua avenida piazza viale ulica"),
    (
        UNIT,
        "apt apartment suite ste unit flat floor room app appt appartement wohnung whg etage stock piso puerta escalera \
         scala interno bus andar apartamento apto lgh building bldg block batiment bat",
    ),
    (UNIT_SURE, "apt apartment suite flat wohnung whg appt appartement apto apartamento lgh"),
    (BOX, "postfach postbus apartado postboks postilokero bp cp"),
    (
        COUNTRY,
        "germany deutschland austria osterreich oesterreich switzerland schweiz suisse svizzera france frankreich francia \
         spain espana spanien espagne italy italia italien italie netherlands nederland niederlande belgium belgique belgie \
         belgien luxembourg portugal poland polska polen czech czechia slovakia slovenia slovenija hungary magyarorszag \
         croatia hrvatska serbia romania bulgaria greece hellas cyprus turkey denmark danmark sweden sverige norway norge \
         finland suomi iceland island estonia eesti latvia lithuania ireland england scotland wales britain uk gb usa us \
         canada mexico brazil brasil argentina chile uruguay paraguay colombia peru australia japan china india israel \
         russia ukraine greenland greenlander tunisia morocco egypt singapore malta monaco liechtenstein",
    ),
    (
        PLACE_CUE,
        "address adresse anschrift direccion indirizzo adres endereco morada lives live living reside resides office \
         offices located deliver delivered delivery ship shipped shipping send sent return returned taxi corner side move \
         moved house home meet meeting domicilio wohnt wohne wohnhaft lieferadresse rechnungsadresse liefern habite \
         habita vivo vive vivono abito abita woon woont mora resident headquarters based situated",
    ),
    (
        SMALL,
        "the a an of in on at to for from with by is it its i you we he she they this that and or but not no please my \
         your our me if when where what which who be been are was were has have had do does did can could will would \
         should so as than then there here now just also only very der die das den dem des ein eine einer eines und oder \
         ist sind im in zu mit auf fur fuer von bei nach aus wir ich sie er es nicht bitte ihr ihre mein meine le la les \
         un une des du de et ou est dans pour avec sur par je vous nous il elle el los las una y o es en con por para yo \
         usted lo i gli uno e di da con per sono lei het een en is op te voor met van ik u wij os as um uma em com por \
         dear hello hi hallo bonjour hola ciao regards best kind thanks thank sincerely yours mit cordialement saludos \
         saluti groet nan",
    ),
    (
        NO_STREET,
        "page pages version chapter section step steps figure table line item items part parts version release windows \
         office order invoice ticket case case number no nr room seat gate flight level year week day days month hour \
         hours minutes article paragraph question answer model type size port error code build update january february \
         march april may june july august september october november december januar februar marz mai juni juli oktober \
         dezember janvier fevrier mars avril juin juillet aout septembre octobre novembre decembre enero febrero marzo \
         abril mayo junio julio agosto septiembre octubre noviembre diciembre gennaio febbraio aprile maggio giugno \
         luglio settembre ottobre dicembre januari februari maart mei augustus jan feb mar apr jun jul aug sep sept oct \
         okt nov dec dez monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag \
         freitag samstag sonntag seite bestellung rechnung auftrag artikel menge preis position pos kapitel abschnitt \
         schritt commande facture pedido factura fattura ordine bestelling factuur fatura phone tel fax mobile telefon \
         total sum amount price quantity qty iban bic vat ust id ref reference since until about over under after before \
         iphone galaxy ios android playstation xbox sitzplatz arbeitsplatz parkplatz stellplatz",
    ),
    (
        PHONE_CUE,
        "phone telephone tel fon telefon telefono telefone telefoon mobile mobil movil cell cellulare gsm handy whatsapp fax \
         call calling called ring text sms number reach dial registered answering answer anrufen rufnummer \
         telefonnummer handynummer mobilnummer faxnummer durchwahl zentrale appeler joindre numero llamar \
         celular chiamare bellen telefoonnummer ligar telemovel hotline extension",
    ),
    (
        REFERENCE,
        "order orders invoice invoices ticket tickets case cases reference ref booking reservation shipment tracking \
         transaction confirmation claim receipt purchase rma po pnr bill complaint parcel package consignment \
         bestellung bestellnummer bestellnr auftrag auftragsnummer auftragsnr rechnung rechnungsnummer rechnungsnr \
         ticketnummer vorgang vorgangsnummer fallnummer referenz referenznummer buchung buchungsnummer buchungscode \
         sendung sendungsnummer sendungsverfolgung sendungsverfolgungsnummer aktenzeichen geschaftszeichen \
         lieferscheinnummer lieferschein reklamationsnummer schadennummer belegnummer transaktionsnummer \
         commande facture dossier reservation suivi colis pedido factura expediente reserva envio caso recibo localizador \
         seguimiento ordine fattura pratica prenotazione spedizione riferimento bestelling bestelnummer ordernummer factuur \
         factuurnummer dossiernummer zaaknummer referentie boeking boekingsnummer zending encomenda fatura processo \
         referencia rastreio",
    ),
    (
        ACCOUNT,
        "account acct acc customer client member membership policy contract subscriber subscription meter loyalty bank \
         routing sort konto kontonummer kontonr kunde kundennummer kundennr kundennummern kundenkonto vertrag \
         vertragsnummer vertragsnr mitgliedsnummer versicherungsnummer versicherungsscheinnummer policennummer \
         zahlernummer blz bankleitzahl vertragskonto vertragskontonummer depotnummer compte contrat adherent abonne \
         police cuenta contrato cliente socio poliza conto contratto socio polizza rekening rekeningnummer klant \
         klantnummer contractnummer lidnummer polisnummer conta apolice iban bic swift",
    ),
    (
        IDENTITY,
        "ssn nino passport passport licence license driver drivers permit identity identification tin itin \
         ausweisnummer ausweis personalausweis personalausweisnummer reisepass reisepassnummer passnummer steuernummer \
         steuer steueridentifikationsnummer sozialversicherungsnummer rentenversicherungsnummer fuhrerschein \
         fuhrerscheinnummer passeport permis identite securite dni nie nif pasaporte carnet passaporto patente fiscale \
         bsn burgerservicenummer paspoort paspoortnummer rijbewijs rijbewijsnummer pesel personnummer ahv avs \
         ahvnummer rijksregisternummer passaporte contribuinte cpf ssnr",
    ),
    (
        BIRTH,
        "dob born birth birthdate birthday geboren geburtsdatum geburtstag naissance nacimiento nacido nacida nascita nato \
         nata geboortedatum geboren nascimento nascido nascida ne nee geb",
    ),
    (
        FILLER,
        "number numbers no nr num nbr numero nummer id ids ident code key is was lautet ist war are my the our your of \
         for with bearing identity card kundschaft und y et est es e sono under lid n o del della de la du client \
         identification identificacion date tax steuer passport license licence social security insurance national \
         nationale sociale secu on am le il el op em",
    ),
    (NUMBER_WORD, "number numbers no nr num nbr numero nummer id ids code n nummern"),
    (
        TITLE,
        "mr mrs ms miss mx dr prof professor sir madam herr herrn frau fraulein monsieur m mme madame mlle senor senora sr \
         sra srta don dona signor signora sig dott dottssa mevrouw mevr meneer dhr de senhor senhora",
    ),
    (
        PARTICLE,
        "von van de der den del della delle dello degli dei dell di da do dos das du d l la le el al bin ibn ben ter ten zu \
         zum zur und y e af av mac mc st san santa nad pod sur upon bei sous am im ob des les aux au of het t en",
    ),
    (
        COMMON,
        "will mark bill rose grant may june april august art frank pat rich sue hope faith grace dawn joy jack rob bob \
         chase chance drew guy iris ivy jean josh lance miles nick norm page pearl penny ray rusty ruby sandy sky skip \
         summer autumn amber crystal cliff dale dean earl gene glen heath holly hunter jade jay jewel lily max mercy \
         olive otto paris patience piper reed rod royal ruth sage stormy sunny teddy tiffany victor violet virginia wade \
         ward young long king day white black brown green short wood woods stone field fields price rich best good sharp \
         swift wise noble love cash bond bank banks case order post street lane hall hill bush ford fox hart cook baker \
         carpenter mason miller smith taylor walker turner porter parker potter shepherd bishop pope major marshall judge \
         knight prince duke baron little small gray grey gold silver power powers rivers lake waters moon star land marsh \
         moss park parks church temple house barn gates bell ball bean berry bird fish wolf lamb drake crane martin nation \
         key keys blank frost snow winter winters spring rain storm weeks sommers call may an in do on so to ho le li he \
         you long wang san van man ma me my we us am as at be by go if is it no of or up say see set sit tell try use way \
         well work year new old first last next free full open close check change help home name note null none test user \
         customer client manager admin mister noir blanc petit grand leblanc rouge roux gros fort beau brun marin berger \
         blanco rojo verde rey reyes flores campo rios torres cruz dolores consuelo pilar rosa luz mercedes bianchi rossi \
         neri bruno conti fabbri serra leone costa sala villa melo lobo leite franco pinto santos jong groot klein wit \
         visser bakker kok koster boer kuiper vos berg dijk lang kurz gut stark frei alt neu rot hart ernst",
    ),
    (
        COMMON_CAPITAL,
        "klein gross lang kurz jung alt neu weiss schwarz braun koch bauer konig kaiser herr frau gut stark frei sommer \
         winter herbst montag freitag sonntag berg stein wald bach vogel hahn fuchs wolf hase baum busch feld graf herzog \
         furst ritter richter schreiber meister engel lange kurze franke bayer ost west nord sud sand stahl eisen gold \
         silber kern korn kraft kranz krug kunst land laub licht linde loch mai marz mond morgen nacht nagel pfennig post \
         rabe rat reich reis ring rose salz schatz schuh siegel sonne spiegel stern stock strauss sturm tag tanz turm ufer \
         wein werk wiese wunder april august june may order",
    ),
    (
        ROLE,
        "support service services team sales info contact billing accounts accounting marketing hr help helpdesk desk \
         office admin administrator noreply reply mail mailer daemon postmaster webmaster newsletter news notification \
         notifications customer department dept group company inc ltd llc gmbh kg srl bv nv plc corp \
         corporation limited kundenservice kundendienst vertrieb buchhaltung verwaltung soporte ventas servicio clientes \
         atencion assistenza vendite ufficio klantenservice verkoop suporte vendas unknown undisclosed recipients \
         bot system alert alerts security donotreply enquiries orders order shop store online",
    ),
    (POSTCODE_LABEL, "zip zipcode postcode postal plz postleitzahl cap cp cep"),
    (
        MEASURE,
        "eur usd gbp chf euro euros dollar dollars pounds pound franken kr sek nok dkk pln kg g km m cm mm ml l mb gb tb \
         kb ghz mhz percent prozent units pieces pcs stuck items days hours minutes seconds weeks months years jahre \
         tage stunden ms bytes rows users customers people points",
    ),
    (AND, "and und et y e ed en i a und og och ja"),
    (
        REFERENCE_PREFIX,
        "inv invoice ord order re rg rng tkt ticket case po so cust kd kdnr ref rma auf ab best fac fact sr cs inc req chg \
         acc cmd ped off bk bkg trk pol cl clm rec rcpt txn tr sub ctr vn kn rn an ls lsn prj job wo gs st sch",
    ),
];

/// Endings of words that name a street, where something stands before them.
const STREET_ENDINGS: [&str; 51] = [
    "strasse",
    "str",
    "weg",
    "allee",
    "platz",
    "gasse",
    "damm",
    "ufer",
    "straat",
    "laan",
    "plein",
    "gracht",
    "kade",
    "dijk",
    "steeg",
    "singel",
    "vagen",
    "gatan",
    "gata",
    "gate",
    "gaten",
    "vegen",
    "veien",
    "vej",
    "gade",
    "stien",
    "braut",
    "straeti",
    "katu",
    "kuja",
    "polku",
    "svingen",
    "bakken",
    "tie",
    "steig",
    "pfad",
    "stieg",
    "zeile",
    "promenade",
    "chaussee",
    "graben",
    "winkel",
    "steenweg",
    "dreef",
    "raitti",
    "kaari",
    "stigen",
    "torget",
    "vegur",
    "stigur",
    "lunden",
];

/// Needs no mixing: the keys are hashes.
#[derive(Default)]
pub(crate) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// A map by the hash of a word.
pub(crate) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

static LEXICON: LazyLock<ByHash<Tags>> = LazyLock::new(|| {
    let mut lexicon = ByHash::default();
    for (tags, words) in WORDS {
        for word in words.split_ascii_whitespace() {
            *lexicon.entry(WordHash::of(word)).or_default() |= *tags;
        }
    }
    lexicon
});

/// What a folded word means.
pub(crate) fn tags(hash: u64, folded: &str) -> Tags {
    let tags = LEXICON.get(&hash).copied().unwrap_or_default();
    let ends = folded.len() >= 6
        && matches!(
            folded.as_bytes().last(),
            Some(b'e' | b'r' | b'g' | b'z' | b't' | b'n' | b'm' | b'k' | b'l' | b'j' | b'a' | b'i' | b'u')
        )
        && STREET_ENDINGS.iter().any(|ending| folded.ends_with(ending) && folded.len() >= ending.len() + 3);
    if ends { tags | STREET_WORD } else { tags }
}

#[cfg(test)]
mod tests {
    use super::{STREET_ENDINGS, WORDS};
    use crate::token::fold;

    #[test]
    fn every_word_is_folded() {
        for word in WORDS.iter().flat_map(|(_, words)| words.split_ascii_whitespace()).chain(STREET_ENDINGS) {
            assert_eq!(fold(word), word);
        }
    }
}
