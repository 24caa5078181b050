use jiff::civil::date;
use rejoinder_ledger::{EditClass, Outcome, OutcomeCounts, OutcomeKind, SuggestionRecord};

use crate::mail::{at, mailbox, message, open, other, read, suggestion, tenant};
use crate::outcomes::outcome;

const DAY: i64 = 86_400;

#[test]
fn counts_are_those_of_what_people_said() {
    use OutcomeKind::{Accepted, Edited, Rejected};
    let (_folder, ledger) = open();
    let made = [
        (0, "local", Some((Accepted, EditClass::None))),
        (0, "local", Some((Edited, EditClass::Light))),
        (1, "local", Some((Edited, EditClass::Rewritten))),
        (1, "exemplar", Some((Rejected, EditClass::None))),
        (1, "exemplar", None),
        (2, "cloud", None),
        (3, "cloud", Some((Accepted, EditClass::None))),
    ];
    // Only these two are mailboxes of the tenant's.
    let [support, sales, gone] = ["support", "sales", "gone"].map(|name| mailbox(name, "1"));
    read(&ledger, &support, &[message("x")]);
    read(&ledger, &sales, &[message("y")]);
    for (n, (day, provider, told)) in made.into_iter().enumerate() {
        let id = format!("sug_{n}");
        let one = SuggestionRecord {
            created: at(day * DAY),
            provider: provider.to_owned(),
            source: match provider {
                "exemplar" => Some(support.id.clone()),
                "cloud" => Some(gone.id.clone()),
                _ => Some(sales.id.clone()),
            },
            found: n != 5,
            ..suggestion(&id)
        };
        ledger.record_suggestion(&tenant(), &one).unwrap();
        if let Some((kind, edit_class)) = told {
            ledger.record_outcome(&tenant(), &id, &Outcome { edit_class, ..outcome(kind) }).unwrap();
        }
    }
    ledger.record_suggestion(&other(), &suggestion("sug_0")).unwrap();

    // The last day is not asked for.
    let stats = ledger.stats(&tenant(), Some(at(0)), Some(at(3 * DAY))).unwrap();
    assert_eq!(stats.outcomes, OutcomeCounts { accepted: 1, edited: 2, rejected: 1, open: 2 });
    assert_eq!((stats.outcomes.acceptance_rate(), stats.outcomes.edit_rate()), (Some(0.25), Some(0.5)));
    let classes: Vec<u64> = stats.edit_classes.values().copied().collect();
    assert_eq!(classes, [1, 1, 0, 0, 1], "of what was sent; a rejected draft has no class");
    assert_eq!(
        stats.by_provider,
        [
            ("local".to_owned(), OutcomeCounts { accepted: 1, edited: 2, ..OutcomeCounts::default() }),
            ("exemplar".to_owned(), OutcomeCounts { rejected: 1, open: 1, ..OutcomeCounts::default() }),
            ("cloud".to_owned(), OutcomeCounts { open: 1, ..OutcomeCounts::default() }),
        ]
    );
    assert_eq!(
        stats
            .by_source
            .iter()
            .map(|source| (source.mailbox.as_ref(), source.name.as_str(), source.counts.suggestions()))
            .collect::<Vec<_>>(),
        [(Some(&sales.id), "sales", 3), (Some(&support.id), "support", 2), (None, "", 1)]
    );
    // 1,700,000,000 is 2023-11-14T22:13:20Z.
    assert_eq!(
        stats.by_day.iter().map(|(day, counts)| (*day, counts.suggestions())).collect::<Vec<_>>(),
        [(date(2023, 11, 14), 2), (date(2023, 11, 15), 3), (date(2023, 11, 16), 1)]
    );
    assert_eq!(stats.not_found, 1);
    assert_eq!(ledger.stats(&tenant(), None, None).unwrap().outcomes.suggestions(), 7);
    let none = ledger.stats(&tenant(), Some(at(9 * DAY)), None).unwrap();
    assert_eq!((none.outcomes.suggestions(), none.outcomes.acceptance_rate()), (0, None));
}

#[test]
fn questions_that_nothing_was_found_for_are_grouped() {
    let (_folder, ledger) = open();
    let asked: &[(&str, &[&str])] = &[
        ("sug_0", &["invoice", "rebate", "export"]),
        ("sug_1", &["printer", "toner"]),
        ("sug_2", &["invoice", "rebate", "missing"]),
        ("sug_3", &[]),
        ("sug_4", &["rebate", "invoice"]),
        ("sug_5", &["toner", "printer", "broken", "noise", "paper"]),
        ("sug_6", &["holiday"]),
        ("sug_7", &[]),
    ];
    for (n, (id, terms)) in asked.iter().enumerate() {
        let one = SuggestionRecord {
            created: at(n as i64),
            found: false,
            terms: terms.iter().map(|term| (*term).to_owned()).collect(),
            ..suggestion(id)
        };
        ledger.record_suggestion(&tenant(), &one).unwrap();
    }
    // One that something was found for is no gap.
    ledger.record_suggestion(&tenant(), &suggestion("sug_8")).unwrap();
    let gaps = ledger.stats(&tenant(), None, None).unwrap().knowledge_gaps;
    let told: Vec<_> =
        gaps.iter().map(|gap| (gap.terms.join(" "), gap.questions, gap.examples.join(" "), gap.last_asked)).collect();
    assert_eq!(
        told,
        [
            ("invoice rebate".to_owned(), 3, "sug_4 sug_2 sug_0".to_owned(), at(4)),
            (String::new(), 2, "sug_7 sug_3".to_owned(), at(7)),
            // Two of five terms in common are enough, and told are those that half of the questions have.
            ("printer toner broken noise paper".to_owned(), 2, "sug_5 sug_1".to_owned(), at(5)),
            ("holiday".to_owned(), 1, "sug_6".to_owned(), at(6)),
        ]
    );
    assert_eq!(ledger.stats(&tenant(), None, None).unwrap().knowledge_gaps, gaps, "the same again");
}
