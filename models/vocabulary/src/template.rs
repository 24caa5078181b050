//! Messages to a prompt, by the chat template of the file.

use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, context};
use serde::Serialize as _;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::metadata::{Metadata, text};
use crate::{TemplateError, Vocabulary, VocabularyError};

const TEMPLATE: &str = "tokenizer.chat_template";
const NAME: &str = "chat";
/// Templates of published models have up to 20 kB.
const SOURCE_LIMIT: usize = 1 << 19;
/// Steps of the interpreter: a prompt of a thousand messages takes about a tenth.
const FUEL: u64 = 2_000_000;
/// What the template writes around the messages, at most.
const OUTPUT_LIMIT: usize = 1 << 22;
/// The form that Qwen's and Hugging Face's small models were trained on.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A chat template, ready to render.
///
/// The language is Jinja as `transformers` sets it up: blocks are trimmed, Python's methods work on texts, lists and
/// maps, `raise_exception`, `strftime_now` (in UTC) and `tojson` are there. Qwen3's thinking is switched off, and there
/// are no tools.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    begin: String,
    end: String,
}

impl ChatTemplate {
    /// The template of a GGUF file, or `ChatML` where the file has none but its vocabulary has the
    /// tokens of that form.
    pub fn from_metadata(metadata: &Metadata, vocabulary: &Vocabulary) -> Result<Self, TemplateError> {
        let control = |name| vocabulary.marker(name).is_some();
        let source = match text(metadata, TEMPLATE)? {
            Some(source) if source.len() > SOURCE_LIMIT => {
                let (found, limit) = (source.len(), SOURCE_LIMIT);
                return Err(VocabularyError::TooLarge { key: TEMPLATE, found, limit }.into());
            }
            Some(source) => source,
            None if control("<|im_start|>") && control("<|im_end|>") => CHATML,
            None => return Err(TemplateError::Missing),
        };
        let id = |key| crate::metadata::token_id(metadata, key, vocabulary.len());
        let name = |id: Option<u32>| id.map(|id| String::from_utf8_lossy(vocabulary.token_bytes(id)).into_owned());
        Ok(Self {
            environment: environment(source).map_err(TemplateError::Syntax)?,
            begin: name(vocabulary.begin_token()).unwrap_or_default(),
            end: name(id("tokenizer.ggml.eos_token_id")?).unwrap_or_default(),
        })
    }

    /// What the template makes of messages (role and content), up to where the answer begins.
    pub(crate) fn render(&self, messages: &[(&str, &str)]) -> Result<String, TemplateError> {
        let messages: Vec<Value> =
            messages.iter().map(|(role, content)| context! { role => *role, content => *content }).collect();
        let context = context! {
            messages,
            add_generation_prompt => true,
            enable_thinking => false,
            bos_token => self.begin.as_str(),
            eos_token => self.end.as_str(),
        };
        let mut output = Bounded { bytes: Vec::new() };
        let failed = |source: Error| {
            let reason = source.detail().unwrap_or("it fails").to_owned();
            TemplateError::Render { reason, source }
        };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        template.render_captured_to(context, &mut output).map_err(failed)?;
        Ok(String::from_utf8_lossy(&output.bytes).into_owned())
    }
}

fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", to_json);
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

fn raise_exception(message: &str) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(format, jiff::Timestamp::now())
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, "strftime_now").with_source(error))
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`: models saw Python's spaces, and no escapes for HTML.
#[expect(clippy::needless_pass_by_value, reason = "this is how a filter takes named arguments")]
fn to_json(value: &Value, arguments: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(width) => {
            let blanks = " ".repeat(width.min(16));
            let formatter = PrettyFormatter::with_indent(blanks.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, PythonFormatter)),
    };
    written.map_err(|error| Error::new(ErrorKind::InvalidOperation, "tojson").with_source(error))?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&bytes).into_owned()))
}

/// One line, with a space after commas and colons.
struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Takes [`OUTPUT_LIMIT`] bytes, then fails.
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > OUTPUT_LIMIT {
            return Err(io::Error::other(format!("the template writes more than {OUTPUT_LIMIT} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
