use rejoinder_domain::Address;

use super::{Form, NameBook};
use crate::token::tokens;

fn person(name: &str, email: &str) -> Address {
    Address { name: name.to_owned(), email: email.to_owned() }
}

fn found(people: &[Address], text: &str) -> Vec<(String, usize, Form)> {
    let names = NameBook::new(people).find(&tokens(text));
    names.into_iter().map(|name| (text[name.start..name.end].to_owned(), name.person, name.form)).collect()
}

#[test]
fn forms_of_a_name() {
    let people =
        [person("Dr. Anna-Lena Müller", "a@x.example"), person("O'Brien, Seán", ""), person("Jan de Vries", "")];
    for (text, quote, who, form) in [
        ("Dear Anna-Lena Müller,", "Anna-Lena Müller", 0, Form::Full),
        ("MÜLLER, ANNA-LENA", "MÜLLER, ANNA-LENA", 0, Form::Full),
        ("Mueller Anna", "Mueller Anna", 0, Form::Full),
        ("Frau Müller schrieb", "Müller", 0, Form::Last),
        ("Müllers Auftrag", "Müller", 0, Form::Last),
        ("Muller's order", "Muller", 0, Form::Last),
        ("A. Müller", "A. Müller", 0, Form::Full),
        ("hello anna,", "anna", 0, Form::First),
        ("amueller wrote", "amueller", 0, Form::Full),
        ("Sean O'Brien", "Sean O'Brien", 1, Form::Full),
        ("Mr O'Brien", "Brien", 1, Form::Last),
        ("Jan de Vries", "Jan de Vries", 2, Form::Full),
        ("jan.devries and Vries", "jan", 2, Form::First),
        ("Mr de Vries wrote", "de Vries", 2, Form::Last),
    ] {
        let found = found(&people, text);
        assert_eq!(found.first(), Some(&(quote.to_owned(), who, form)), "{text}");
    }
}

#[test]
fn words_that_are_names_too() {
    let people = [person("Will Young", ""), person("Peter Koch", ""), person("Li Wang", ""), person("Tim Best", "")];
    for (text, expected) in [
        ("you will get young plants", vec![]),
        ("Will you come? Young people do.", vec![]),
        ("Ask Will about it", vec!["Will"]),
        ("Will Young", vec!["Will Young"]),
        ("will young said", vec!["will young"]),
        ("Der Koch kocht", vec![]),
        ("Herr Koch kocht", vec!["Koch"]),
        ("Danke\nKoch\n", vec!["Koch"]),
        ("Lieferung an Mr Li", vec!["Mr Li"]),
        ("all the best", vec![]),
        ("Dear Tim,", vec!["Tim"]),
        ("Time and Timothy", vec![]),
    ] {
        let quotes: Vec<String> = found(&people, text).into_iter().map(|(quote, ..)| quote).collect();
        assert_eq!(quotes, expected, "{text}");
    }
}

#[test]
fn who_is_no_person_has_no_name() {
    let people = [
        person("ACME Support Team", "support@acme.example"),
        person("", "no-reply@acme.example"),
        person("", "anna.weber@acme.example"),
        person("billing@acme.example", "billing@acme.example"),
        person("Anna Weber (Support)", "x@acme.example"),
    ];
    assert_eq!(found(&people, "ACME Support, billing, no reply"), []);
    assert_eq!(found(&people, "Weber"), [("Weber".to_owned(), 0, Form::Last)], "both are the same person");
}
