//! Answers (and the requests of the examples) printed for people. Works on the JSON of the HTTP API, so that what curl
//! fetched and what a command computed look the same.

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::Value;

/// Prints whatever `answer` is: a suggestion, extracted attributes, search results, a ticket, or an extraction request.
pub(crate) fn print(answer: &Value) -> anyhow::Result<()> {
    print!("{}", render(answer)?);
    Ok(())
}

/// The text that [`print()`] prints.
pub(crate) fn render(answer: &Value) -> anyhow::Result<String> {
    let has = |key: &str| answer.get(key).is_some();
    if has("suggestions") {
        Ok(suggestion(answer))
    } else if has("attributes") {
        Ok(attributes(answer))
    } else if has("data") {
        Ok(results(answer))
    } else if let Some(inner) = answer.get("ticket").filter(|ticket| ticket.is_object()) {
        Ok(ticket(inner))
    } else if has("messages") {
        Ok(ticket(answer))
    } else if has("schema") {
        Ok(format!("Text\n{}\n", indented(string(answer, "text"))))
    } else if has("code") && has("title") {
        Ok(format!("{}: {}\n", string(answer, "title"), string(answer, "detail")))
    } else {
        bail!("this is not an answer of suggest-reply, extract-attributes or search")
    }
}

fn ticket(ticket: &Value) -> String {
    let mut text = format!("Ticket {}: {}\n", string(ticket, "id"), string(ticket, "subject"));
    for message in list(ticket, "messages") {
        let _ = writeln!(text, "{} from {}:", string(message, "direction"), string(message, "from"));
        text.push_str(&indented(string(message, "text").trim()));
        text.push('\n');
    }
    text
}

fn suggestion(answer: &Value) -> String {
    let mut text = String::new();
    for suggestion in list(answer, "suggestions") {
        let _ = writeln!(
            text,
            "Draft by {} ({}), confidence {:.2}{}",
            string(suggestion, "provider"),
            string(suggestion, "model"),
            number(suggestion, "confidence"),
            if suggestion.get("needs_review") == Some(&Value::Bool(true)) { ", needs review" } else { "" },
        );
        text.push('\n');
        text.push_str(&indented(string(suggestion, "text").trim()));
        text.push_str("\n\n");
        for check in list(suggestion, "checks") {
            let passed = check.get("passed") == Some(&Value::Bool(true));
            let mark = if passed { "ok   " } else { "CHECK" };
            let _ = write!(text, "  {mark} {}", string(check, "name"));
            let detail = string(check, "detail");
            let _ = if detail.is_empty() { writeln!(text) } else { writeln!(text, ": {detail}") };
        }
        citations(&mut text, suggestion, "citations");
        text.push('\n');
    }
    if list(answer, "suggestions").is_empty() {
        let _ = writeln!(text, "No draft: {}", string(answer, "no_suggestion_reason").replace('_', " "));
        citations(&mut text, answer, "nearest");
    }
    attempts(&mut text, answer);
    let timings = answer.get("timings_ms").cloned().unwrap_or_default();
    let _ = writeln!(
        text,
        "{}: retrieval {} ms, total {} ms",
        string(answer, "id"),
        number(&timings, "retrieve"),
        number(&timings, "total")
    );
    text
}

/// What was tried, in order, where it was more than one thing.
fn attempts(text: &mut String, answer: &Value) {
    let tried = list(answer, "attempts");
    if tried.len() < 2 {
        return;
    }
    for attempt in tried {
        let _ = writeln!(
            text,
            "tried {} ({}): {}, {} ms",
            string(attempt, "provider"),
            string(attempt, "model"),
            string(attempt, "outcome").replace('_', " "),
            number(attempt, "ms")
        );
    }
}

fn citations(text: &mut String, holder: &Value, key: &str) {
    for citation in list(holder, key) {
        let _ = writeln!(
            text,
            "  [{}] {:.2}  {}  {}  \"{}\"  ({})",
            number(citation, "n"),
            number(citation, "score"),
            day(string(citation, "sent_at")),
            string(citation, "from"),
            string(citation, "subject"),
            string(citation, "mailbox"),
        );
        let _ = writeln!(text, "        {}", one_line(string(citation, "quote"), 100));
    }
}

fn attributes(answer: &Value) -> String {
    let mut text = String::from("Attributes\n");
    let evidence = list(answer, "evidence");
    leaves(answer.get("attributes").unwrap_or(&Value::Null), "", &mut |pointer, value| {
        let proof = evidence.iter().find(|entry| string(entry, "pointer") == pointer);
        let _ = write!(text, "  {pointer:<28} {value}");
        if let Some(proof) = proof {
            let _ = write!(
                text,
                "   from \"{}\" at {}..{} ({:.2}{})",
                one_line(string(proof, "quote"), 60),
                number(proof, "start"),
                number(proof, "end"),
                number(proof, "confidence"),
                match (string(proof, "origin"), string(proof, "agreement")) {
                    ("recognisers" | "", _) => String::new(),
                    (origin, agreement) => format!(", {origin}, {agreement}"),
                }
            );
        }
        text.push('\n');
    });
    for change in list(answer, "changes") {
        let of = |key: &str| change.get(key).cloned().unwrap_or_default();
        let _ = writeln!(text, "  changed {}: {} -> {}", string(change, "pointer"), of("old"), of("new"));
    }
    for conflict in list(answer, "conflicts") {
        let _ = writeln!(text, "  conflict {}: {}", string(conflict, "pointer"), conflict);
    }
    let abstained: Vec<&str> = list(answer, "abstained").iter().filter_map(Value::as_str).collect();
    if !abstained.is_empty() {
        let _ = writeln!(text, "  no evidence for: {}", abstained.join(", "));
    }
    let unaligned: Vec<&str> = list(answer, "unaligned").iter().filter_map(Value::as_str).collect();
    if !unaligned.is_empty() {
        let _ = writeln!(text, "  not in the text, so thrown away what the model gave for: {}", unaligned.join(", "));
    }
    attempts(&mut text, answer);
    text
}

fn results(answer: &Value) -> String {
    let mut text = String::new();
    for (index, result) in list(answer, "data").iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>2}. {:.2}  {}  {}  \"{}\"",
            index + 1,
            number(result, "score"),
            day(string(result, "sent_at")),
            string(result, "from"),
            string(result, "subject"),
        );
        let _ = writeln!(text, "      {}", one_line(string(result, "text"), 110));
    }
    if text.is_empty() {
        text.push_str("nothing found\n");
    }
    text
}

fn leaves(value: &Value, pointer: &str, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(field, &format!("{pointer}/{key}"), visit);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{pointer}/{index}"), visit);
            }
        }
        leaf => visit(pointer, leaf),
    }
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn day(timestamp: &str) -> &str {
    timestamp.get(..10).unwrap_or("no date   ")
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= most {
        return words;
    }
    let mut cut: String = words.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{one_line, render};

    #[test]
    fn every_kind_of_answer_is_recognised() {
        let suggestion = json!({"id": "sug_1", "suggestions": [], "no_suggestion_reason": "nothing_similar"});
        assert!(render(&suggestion).unwrap().contains("No draft: nothing similar"));
        let attributes = json!({"attributes": {"amount": 12.5}, "evidence": [
            {"pointer": "/amount", "quote": "EUR 12,50", "start": 3, "end": 12, "confidence": 0.9}], "abstained": ["/iban"]});
        let text = render(&attributes).unwrap();
        assert!(text.contains("/amount") && text.contains("EUR 12,50") && text.contains("no evidence for: /iban"));
        assert_eq!(render(&json!({"data": []})).unwrap(), "nothing found\n");
        let ticket =
            json!({"ticket": {"id": "T-1", "subject": "Hi", "messages": [{"direction": "inbound", "text": "a\nb"}]}});
        assert!(render(&ticket).unwrap().contains("    a\n    b"));
        assert!(render(&json!({"else": 1})).is_err());
    }

    #[test]
    fn a_long_quote_is_cut_between_characters() {
        assert_eq!(one_line("ä ö\nü", 10), "ä ö ü");
        assert_eq!(one_line("ääää", 3), "ää…");
    }
}
