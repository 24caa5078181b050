//! Finding by words.

use rejoinder_domain::{Pool, Record};

use super::samples::{DIMS, finds, ids, passage, query, tenant};
use super::{Harness, Outcome};

fn in_language(number: usize, language: Option<&str>, text: &str) -> Record {
    Record { language: language.map(str::to_owned), ..passage(number, text) }
}

pub(super) async fn languages(harness: &dyn Harness) -> Outcome {
    let store = harness.open("languages", Some(DIMS)).await?;
    let records = vec![
        in_language(0, Some("en"), "We have paid all invoices."),
        in_language(1, Some("de"), "Die Rechnung ist noch offen, viele Grüße"),
        in_language(2, Some("fr"), "Votre facture concerne l\u{2019}exercice dernier"),
        in_language(3, Some("es"), "Adjuntamos los contratos firmados"),
        in_language(4, Some("it"), "Il pagamento della fattura è in ritardo"),
        in_language(5, Some("nl"), "De rekeningen zijn betaald"),
        in_language(6, Some("pt"), "O pagamento das faturas foi recebido"),
        in_language(7, Some("xx"), "Unknown tongue qwertzu"),
        in_language(8, None, "zzyzx"),
    ];
    store.upsert(&tenant(), Pool::Passage, records).await?;
    for _ in 0..2 {
        for (text, language, expected) in [
            ("invoice", "en", "rec_00000"),
            ("INVOICES", "en", "rec_00000"),
            ("Rechnungen", "de", "rec_00001"),
            ("GRÜSSE", "de", "rec_00001"),
            ("factures", "fr", "rec_00002"),
            ("exercices", "fr", "rec_00002"),
            ("contrato", "es", "rec_00003"),
            ("pagamenti", "it", "rec_00004"),
            ("rekening", "nl", "rec_00005"),
            ("fatura", "pt", "rec_00006"),
        ] {
            finds(&*store, text, Some(language), &[expected]).await?;
        }
        // A query whose language is not known finds every language's words.
        for (text, expected) in [("invoice", "rec_00000"), ("Rechnungen", "rec_00001"), ("contrato", "rec_00003")] {
            finds(&*store, text, None, &[expected]).await?;
        }
        finds(&*store, "qwertzu", Some("xx"), &["rec_00007"]).await?;
        finds(&*store, "zzyzx", None, &["rec_00008"]).await?;
        finds(&*store, "invoice qwertzu", Some("de"), &["rec_00000", "rec_00007"]).await?;
        store.optimize(&tenant()).await?;
    }
    Ok(())
}

pub(super) async fn identifiers(harness: &dyn Harness) -> Outcome {
    let store = harness.open("identifiers", Some(DIMS)).await?;
    let records = vec![
        passage(0, "Please see invoice INV-2024-0042 attached."),
        passage(1, "Please see invoice INV-2024-0043 attached."),
        passage(2, "Write to a.weber@x.example, not to b.weber@x.example!"),
        passage(3, "It was 1,250.00 in total"),
        passage(4, "Konto DE89370400440532013000"),
    ];
    store.upsert(&tenant(), Pool::Passage, records).await?;
    for _ in 0..2 {
        for (text, first) in [
            ("INV-2024-0042", "rec_00000"),
            ("inv-2024-0043?", "rec_00001"),
            ("where is (INV-2024-0042)", "rec_00000"),
            ("a.weber@x.example", "rec_00002"),
            ("1.250,00", "rec_00003"),
            ("de89370400440532013000", "rec_00004"),
        ] {
            let hits = store.search(&tenant(), &query(None, Some(text), 10)).await?;
            assert_eq!(ids(&hits).first(), Some(&first), "searched for {text:?}");
        }
        finds(&*store, "0042", Some("en"), &["rec_00000"]).await?;
        store.optimize(&tenant()).await?;
    }
    Ok(())
}

pub(super) async fn before_and_after_optimize(harness: &dyn Harness) -> Outcome {
    let store = harness.open("unindexed", Some(DIMS)).await?;
    let tenant = tenant();
    let mut expected = Vec::new();
    for round in 0..4 {
        let records: Vec<Record> =
            (0..5).map(|n| passage(round * 5 + n, &format!("walnut from round{round}"))).collect();
        expected.extend(records.iter().map(|record| record.id.as_str().to_owned()));
        store.upsert(&tenant, Pool::Passage, records).await?;
        let all: Vec<&str> = expected.iter().map(String::as_str).collect();
        let newest: Vec<&str> = all.iter().skip(round * 5).copied().collect();
        // Written but in no index yet, beside what an earlier round indexed.
        finds(&*store, "walnut", Some("en"), &all).await?;
        finds(&*store, &format!("round{round}"), Some("en"), &newest).await?;
        store.optimize(&tenant).await?;
        finds(&*store, "walnut", Some("en"), &all).await?;
        finds(&*store, &format!("round{round}"), Some("en"), &newest).await?;
    }
    store.optimize(&tenant).await?;
    store.optimize(&tenant).await?;
    Ok(())
}
