use super::find_addresses;
use crate::token::tokens;

fn found(text: &str) -> Vec<&str> {
    find_addresses(text, &tokens(text)).into_iter().map(|raw| &text[raw.start..raw.end]).collect()
}

/// Each text has its address between `{` and `}`.
fn check(table: &[&str]) {
    let mut wrong = Vec::new();
    for marked in table {
        let text = marked.replace(['{', '}'], "");
        let wanted: Vec<&str> = marked.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        let found = found(&text);
        if found != wanted {
            wrong.push(format!("{text:?}\n   found {found:?}\n  wanted {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn english() {
    check(&[
        "Ship it to {12 Main Street, Springfield, IL 62704} please.",
        "I live at {221B Baker Street, London NW1 6XE}.",
        "Send it to {1600 Pennsylvania Ave NW, Washington, DC 20500}, thanks",
        "our office at {350 Fifth Avenue, Suite 3300, New York, NY 10118-0110} is open",
        "{10 Downing Street\nLondon\nSW1A 2AA}\n\nThank you",
        "{Flat 4, 27 Queen's Road, Bristol BS8 1QU}",
        "P.O. Box: {P.O. Box 1234, Anchorage, AK 99501}",
        "{PO Box 77}",
        "deliver to {45 O'Connell St., Dublin, Ireland}",
        "He moved to {7 Rue St Apt. 12, Toronto, ON M5V 2T6}",
        "i live at {12 main street} and like it",
        "Postcode {SW1A 1AA} is fine",
        "{Unit 7349 Box 6067\nDPO AE 99081}",
    ]);
}

#[test]
fn german() {
    check(&[
        "Bitte an {Hauptstraße 12a, 10115 Berlin} senden.",
        "Anna Weber\n{Karl-Marx-Allee 3\n10178 Berlin\nDeutschland}\n",
        "wohnhaft {Am Markt 5, 04109 Leipzig}",
        "Lieferadresse: {Musterweg 1-3, D-80331 München}",
        "{Mariahilfer Str. 45/12, 1060 Wien, Österreich}",
        "{Bahnhofstrasse 10\nCH-8001 Zürich}",
        "{Postfach 12 34, 60311 Frankfurt am Main}",
        "in {10115 Berlin}, wo ich wohne",
        "{Unter den Linden 77, 10117 Berlin}",
        "Firma, {Industriestr. 7, 70565 Stuttgart}",
    ]);
}

#[test]
fn french_spanish_italian_dutch_portuguese() {
    check(&[
        "J'habite {12, rue de la Paix, 75002 Paris}.",
        "{8 bis avenue des Champs-Élysées\n75008 Paris\nFrance}",
        "adresse: {3 place de la République, 69002 Lyon}",
        "{BP 123, 33000 Bordeaux}",
        "Vivo en {Calle Mayor 15, 28013 Madrid, España}",
        "{C/ de Alcalá, 42, 28014 Madrid}",
        "{Avda. de la Constitución 7, 41001 Sevilla}",
        "Abito in {Via Roma 10, 20121 Milano, Italia}",
        "{Piazza del Duomo, 1\n50122 Firenze}",
        "Ik woon op {Kerkstraat 12, 1017 GP Amsterdam}",
        "{Prinsengracht 263\n1016 GV Amsterdam\nNederland}",
        "{Postbus 100, 2500 AB Den Haag}",
        "Moro na {Rua Augusta 1500, 01304-001 São Paulo, Brasil}",
        "{Av. da Liberdade 110, 1250-146 Lisboa}",
    ]);
}

#[test]
fn what_is_no_address() {
    check(&[
        "Please see page 12 of version 5 and chapter 3.",
        "On March 12 we ordered 500 Widgets for 300 EUR.",
        "The court ruled in 2019. The way 12 people drive is no street.",
        "Windows 11 and Office 365 on Galaxy 8 in room service",
        "I ordered 3 items on Monday 5 June 2024 at 10:30.",
        "Version 3.15.0 of the Marching Band 2 app",
        "We have 12 offices and 3 floors",
        "Your order 12345 Premium Support is open",
        "Total: 1250 Euro\nBest regards",
        "Error 404 Not Found",
        "Der Betrag von 500 Euro am Montag 12 Uhr",
        "La via 5 email non funziona",
    ]);
}

#[test]
fn across_quoted_lines() {
    check(&["> {Hauptstr. 5\n> 10115 Berlin}\n> Tel", "* {12 Main Street\n* Springfield, IL 62704}\n* x"]);
}
