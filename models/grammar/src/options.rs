//! How much a generated value may hold where its schema says nothing, and how much a schema may cost.

/// How forms are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrammarOptions {
    /// The white space between the tokens of JSON.
    pub spacing: Spacing,
    /// What keeps a model from writing without end. `None` allows all that the schema allows, which is meant for
    /// judging given values, not for generating.
    pub caps: Option<Caps>,
    /// What a form may cost.
    pub limits: Limits,
}

impl Default for GrammarOptions {
    fn default() -> Self {
        Self { spacing: Spacing::default(), caps: Some(Caps::default()), limits: Limits::default() }
    }
}

impl GrammarOptions {
    /// No caps and no white space: for judging values that `serde_json::to_string` wrote.
    pub fn judging() -> Self {
        Self { spacing: Spacing::Compact, caps: None, limits: Limits::default() }
    }
}

/// The white space of generated JSON. It is fixed, so that most of it is forced and none of it can be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Spacing {
    /// None: `{"a":1,"b":2}`.
    Compact,
    /// One space after each comma and colon: `{"a": 1, "b": 2}`, which is what most one-line JSON that models were
    /// trained on looks like.
    #[default]
    Single,
}

/// Bounds for generated JSON where the schema gives none. They narrow what may be generated, so that every value is
/// still valid against the schema; bounds that the schema gives are kept exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Characters of a string without `maxLength`.
    pub string_chars: usize,
    /// Characters of a string that has `pattern` but no `maxLength`.
    pub pattern_chars: usize,
    /// Characters of a property name that the schema does not name.
    pub key_chars: usize,
    /// Items of an array without `maxItems`.
    pub array_items: usize,
    /// Properties of an object used as a map (the schema names none or all are required), without `maxProperties`.
    pub map_entries: usize,
    /// Digits of an integer, or before the point of a number, on a side where the schema gives no bound. At most 15.
    pub integer_digits: u32,
    /// Digits after the point of a number without `multipleOf`. At most 8. Exponents are never generated.
    pub fraction_digits: u32,
    /// Levels of arrays and objects in a value of which the schema says nothing at all.
    pub any_depth: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            string_chars: 4096,
            pattern_chars: 256,
            key_chars: 64,
            array_items: 64,
            map_entries: 32,
            integer_digits: 15,
            fraction_digits: 6,
            any_depth: 2,
        }
    }
}

/// What a form may cost, so that no schema is a denial of service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subschemas, counting a definition once, plus the values of all enumerations.
    pub schema_nodes: usize,
    /// Depth of nested subschemas.
    pub schema_depth: usize,
    /// Characters of one regular expression, or of all choices together.
    pub text_chars: usize,
    /// Symbols of the compiled grammar.
    pub grammar_symbols: usize,
    /// Steps for the first state of the lexer; about 50,000 a millisecond.
    pub compile_steps: u64,
    /// Steps of the lexer for one mask; about 14,000 a millisecond.
    pub mask_steps: u64,
    /// States of the lexer, of 1 to 2 kB each, for one matcher.
    pub lexer_states: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            schema_nodes: 20_000,
            schema_depth: 48,
            text_chars: 100_000,
            grammar_symbols: 200_000,
            compile_steps: 1_000_000,
            mask_steps: 400_000,
            lexer_states: 50_000,
        }
    }
}
