//! Asking a language model to fill the form, and what of its answer the texts bear out.

use std::time::Instant;

use rejoinder_domain::{
    CallContext, GenerateRequest, LanguageModel, OutputFormat, Priority, Purpose, SeamError, TenantId,
};
use serde_json::{Map, Value};

use super::candidate::Candidate;
use super::candidates::{Source, class_of};
use super::form;
use super::label::Labels;
use super::quote::Quotable;
use super::read::{Sought, read};
use super::schema::{Kind, Property, Schema, pointer_of};
use super::{ExtractInput, ExtractRequest};
use crate::Assist;
use crate::generation;
use crate::suggest::answer::{Attempt, Usage};
use crate::suggest::people_of_ticket;

/// What a model found that the texts bear out.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// Per property of the schema: its values, in the model's order.
    pub(crate) values: Vec<Vec<Candidate>>,
    /// Per property: the objects of a list of objects.
    pub(crate) items: Vec<Vec<Item>>,
    /// Pointers of the values that the texts do not bear out.
    pub(crate) unaligned: Vec<String>,
}

/// An object of a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Item {
    /// The object.
    pub(crate) object: Map<String, Value>,
    /// Pointers inside the object, and what is there.
    pub(crate) leaves: Vec<(String, Candidate)>,
}

/// A model's try at a form.
pub(crate) struct Tried {
    /// What came of it; `None` where recognisers alone have to do.
    pub(crate) filled: Option<Filled>,
    /// Who was asked and how it went, at least one.
    pub(crate) attempts: Vec<Attempt>,
}

/// What is filled, from what, for whom.
#[derive(Clone, Copy)]
pub(super) struct Form<'a> {
    pub(super) tenant: &'a TenantId,
    pub(super) schema: &'a Schema,
    pub(super) sources: &'a [Source],
    pub(super) request: &'a ExtractRequest,
}

impl Assist {
    /// Lets the model fill the form. Whatever goes wrong is an attempt that failed, never an error.
    pub(super) async fn fill(&self, form: Form<'_>, model: &dyn LanguageModel) -> Tried {
        let mut attempts = Vec::new();
        let started = Instant::now();
        let (outcome, filled) = match self.ask(form, model, &mut attempts).await {
            Ok(Some(answer)) => match serde_json::from_str::<Value>(&answer) {
                Ok(answer) => ("ok", Some(align(form.schema, &answer, &Quotable::new(form.sources)))),
                Err(_) => ("invalid_output", None),
            },
            Ok(None) => ("context_too_long", None),
            Err(error) => {
                tracing::warn!(kind = ?error.kind, "the language model failed; recognisers alone fill the form");
                (error.kind.outcome(), None)
            }
        };
        match attempts.last_mut() {
            Some(last) if outcome == "invalid_output" => last.outcome = outcome,
            Some(_) => {}
            None => attempts.push(Attempt::by(model, outcome, started, Usage::default())),
        }
        Tried { filled, attempts }
    }

    /// The model's answer; `None` where schema and texts do not fit into a prompt.
    async fn ask(
        &self,
        Form { tenant, schema, sources, request: asked }: Form<'_>,
        model: &dyn LanguageModel,
        attempts: &mut Vec<Attempt>,
    ) -> Result<Option<String>, SeamError> {
        let config = &self.config.fill;
        let first = sources.first().map(|source| source.text.as_str()).unwrap_or_default();
        let fence = self.fences.fence(tenant, &["form", first]);
        let Some(messages) = form::prompt(schema, sources, &fence, config, model)? else { return Ok(None) };
        let mut request = GenerateRequest::new(tenant.clone(), messages, config.max_tokens);
        request.output = OutputFormat::Json(form::answer_schema(schema, config));
        request.priority = Priority::Interactive;
        request.lookup = sources.iter().map(|source| fence.defused(&source.text)).collect();
        request.context = CallContext {
            request_id: asked.caller.request_id.clone(),
            purpose: Purpose::Extract,
            egress: asked.caller.egress,
            people: match &asked.input {
                ExtractInput::Ticket(ticket) => people_of_ticket(ticket, None),
                ExtractInput::Text { .. } => Vec::new(),
            },
            index_version: self.index_version.clone(),
            ..CallContext::default()
        };
        let generation =
            generation::generate(model, request, config.deadline(), self.timer.as_deref(), &mut |_| {}).await;
        attempts.extend(generation.attempts);
        Ok(Some(generation.result?.text))
    }
}

/// Reads every attribute of the model's answer.
fn align(schema: &Schema, answer: &Value, texts: &Quotable<'_>) -> Filled {
    let mut filled = Filled::default();
    for property in &schema.properties {
        let pointer = pointer_of(&property.path);
        let given = answer.pointer(&pointer).unwrap_or(&Value::Null);
        let (values, items) = match &property.kind {
            Kind::Items(inner) => (Vec::new(), items(inner, given, &pointer, texts, &mut filled.unaligned)),
            _ => (values(property, given, &pointer, texts, &mut filled.unaligned), Vec::new()),
        };
        filled.values.push(values);
        filled.items.push(items);
    }
    filled
}

/// The values of a property, each once; what is not borne out is noted.
fn values(
    property: &Property,
    given: &Value,
    pointer: &str,
    texts: &Quotable<'_>,
    unaligned: &mut Vec<String>,
) -> Vec<Candidate> {
    let labels = Labels::of(property);
    let sought = Sought { property, class: class_of(property, &labels), labels: &labels };
    let mut values: Vec<Candidate> = Vec::new();
    for (index, one) in each(given).enumerate() {
        match read(sought, one, texts) {
            Some(found) if values.iter().any(|known| known.value == found.value) => {}
            Some(found) => values.push(found),
            None if property.list.is_some() => unaligned.push(format!("{pointer}/{index}")),
            None => unaligned.push(pointer.to_owned()),
        }
    }
    values
}

/// The items of a list, or the one value; nothing for null.
fn each(given: &Value) -> impl Iterator<Item = &Value> {
    let (list, one) = match given {
        Value::Array(list) => (Some(list), None),
        Value::Null => (None, None),
        one => (None, Some(one)),
    };
    list.into_iter().flatten().chain(one)
}

/// The objects of a list. One that lacks what the schema requires, or has nothing, is left out.
fn items(
    schema: &Schema,
    given: &Value,
    pointer: &str,
    texts: &Quotable<'_>,
    unaligned: &mut Vec<String>,
) -> Vec<Item> {
    let mut all = Vec::new();
    for (index, object) in each(given).enumerate() {
        let item = item(schema, object, &format!("{pointer}/{index}"), texts, unaligned);
        let object = Value::Object(item.object.clone());
        if !item.leaves.is_empty() && super::assign::missing_required(schema, &object).is_empty() {
            all.push(item);
        }
    }
    all
}

fn item(schema: &Schema, given: &Value, pointer: &str, texts: &Quotable<'_>, unaligned: &mut Vec<String>) -> Item {
    let mut item = Item::default();
    for property in &schema.properties {
        let own = pointer_of(&property.path);
        let whole = format!("{pointer}{own}");
        let given = given.pointer(&own).unwrap_or(&Value::Null);
        if let Kind::Items(inner) = &property.kind {
            let inner = items(inner, given, &whole, texts, unaligned);
            item.add_list(property, &own, inner);
            continue;
        }
        let mut values = values(property, given, &whole, texts, unaligned);
        // What can be read in two ways is not settled by the model.
        values.retain(|value| value.alternative.is_none());
        match property.list {
            Some(list) if values.is_empty() || values.len() < list.min => {}
            Some(list) => {
                values.truncate(list.max);
                let array = values.iter().map(|value| value.value.clone()).collect();
                super::assign::insert(&mut item.object, &property.path, Value::Array(array));
                let leaf = |(index, value)| (format!("{own}/{index}"), value);
                item.leaves.extend(values.into_iter().enumerate().map(leaf));
            }
            None => {
                if let Some(value) = values.into_iter().next() {
                    super::assign::insert(&mut item.object, &property.path, value.value.clone());
                    item.leaves.push((own, value));
                }
            }
        }
    }
    item
}

impl Item {
    fn add_list(&mut self, property: &Property, own: &str, mut inner: Vec<Self>) {
        let Some(list) = property.list.filter(|list| !inner.is_empty() && inner.len() >= list.min) else { return };
        inner.truncate(list.max);
        let objects = inner.iter().map(|item| Value::Object(item.object.clone())).collect();
        super::assign::insert(&mut self.object, &property.path, Value::Array(objects));
        for (index, item) in inner.into_iter().enumerate() {
            let leaf = |(pointer, value)| (format!("{own}/{index}{pointer}"), value);
            self.leaves.extend(item.leaves.into_iter().map(leaf));
        }
    }
}
