//! A model's sizes, from the settings of its file.

use candle_core::quantized::gguf_file::Value;

use crate::kernels::attention::WIDEST_HEAD;
use crate::kernels::pack::BLOCK;
use crate::{DecoderError, Gguf};

/// Families of models that the decoder runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Qwen3, dense: a norm on every head of queries and keys.
    Qwen3,
    /// Llama 2 and 3, `SmolLM2` and others of that build. Query and key rows lie in another order in the file.
    Llama,
}

/// Sizes of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The family.
    pub architecture: Architecture,
    /// Tokens that exist.
    pub vocabulary: usize,
    /// Positions that the model was made for.
    pub context: usize,
    /// Layers.
    pub layers: usize,
    /// Values of a token between the layers.
    pub hidden: usize,
    /// Values inside of the feed-forward part.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; each serves `heads / key_value_heads` query heads.
    pub key_value_heads: usize,
    /// Values of a head.
    pub head_width: usize,
    /// Added below the root of a norm.
    pub norm_epsilon: f32,
    /// Base of the rotary angles.
    pub rope_base: f32,
    /// What positions are divided by (linear scaling); 1 for none.
    pub rope_divisor: f32,
}

impl Shape {
    /// Reads and checks the settings.
    pub fn of(gguf: &Gguf) -> Result<Self, DecoderError> {
        let name = string(gguf, "general.architecture")?;
        let architecture = match name.as_str() {
            "qwen3" => Architecture::Qwen3,
            "llama" => Architecture::Llama,
            other => return Err(DecoderError::Unsupported { what: format!("architecture {other:?}") }),
        };
        let settings = Settings { gguf, prefix: &name };
        let heads = settings.size("attention.head_count")?;
        let hidden = settings.size("embedding_length")?;
        let key_value_heads = settings.optional_size("attention.head_count_kv")?.unwrap_or(heads);
        let head_width = settings.optional_size("attention.key_length")?.unwrap_or(hidden / heads.max(1));
        let shape = Self {
            architecture,
            vocabulary: gguf.tensor("token_embd.weight")?.rows,
            context: settings.size("context_length")?,
            layers: settings.size("block_count")?,
            hidden,
            feed_forward: settings.size("feed_forward_length")?,
            heads,
            key_value_heads,
            head_width,
            norm_epsilon: settings.number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
            rope_base: settings.number("rope.freq_base")?.unwrap_or(10_000.0),
            rope_divisor: settings.rope_divisor()?,
        };
        settings.refuse_what_is_missing_here(&shape)?;
        shape.check()?;
        Ok(shape)
    }

    fn check(&self) -> Result<(), DecoderError> {
        let inconsistent = |what: String| Err(DecoderError::Inconsistent(what));
        if self.layers == 0 || self.context == 0 || self.heads == 0 || self.key_value_heads == 0 {
            return inconsistent("a count of layers, heads or positions is 0".to_owned());
        }
        if !self.heads.is_multiple_of(self.key_value_heads) {
            return inconsistent(format!("{} heads cannot share {} key-value heads", self.heads, self.key_value_heads));
        }
        if self.head_width == 0 || !self.head_width.is_multiple_of(BLOCK) || self.head_width > WIDEST_HEAD {
            return Err(DecoderError::Unsupported {
                what: format!("heads of {} values (a multiple of {BLOCK} up to {WIDEST_HEAD} is)", self.head_width),
            });
        }
        for (what, size) in [("hidden", self.hidden), ("feed-forward", self.feed_forward)] {
            if size == 0 || !size.is_multiple_of(BLOCK) {
                return Err(DecoderError::Unsupported {
                    what: format!("a {what} width of {size}, no multiple of {BLOCK}"),
                });
            }
        }
        let finite = [self.norm_epsilon, self.rope_base, self.rope_divisor];
        if finite.iter().any(|value| !value.is_finite() || *value <= 0.0) {
            return inconsistent(format!("norm epsilon, rope base and divisor are {finite:?}"));
        }
        Ok(())
    }

    /// Query heads that share a key-value head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.key_value_heads
    }

    /// Values of all query heads of a token.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Values of all key heads of a token.
    pub(crate) fn key_width(&self) -> usize {
        self.key_value_heads * self.head_width
    }
}

/// Settings of one architecture.
struct Settings<'a> {
    gguf: &'a Gguf,
    prefix: &'a str,
}

impl Settings<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.gguf.metadata().get(&format!("{}.{key}", self.prefix))
    }

    fn size(&self, key: &str) -> Result<usize, DecoderError> {
        self.optional_size(key)?
            .ok_or_else(|| DecoderError::Inconsistent(format!("setting {}.{key} is missing", self.prefix)))
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>, DecoderError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let number = match value {
            Value::I32(number) => u64::try_from(*number).ok(),
            Value::I64(number) => u64::try_from(*number).ok(),
            other => other.to_u64().ok(),
        };
        // No size of a model that fits into a machine is larger; sums and products of such sizes do not overflow.
        match number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number <= 1 << 28) {
            Some(number) => Ok(Some(number)),
            None => Err(DecoderError::Inconsistent(format!("setting {}.{key} is {value:?}", self.prefix))),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f32>, DecoderError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::F32(number)) => Ok(Some(*number)),
            Some(Value::F64(number)) => Ok(Some(*number as f32)),
            Some(other) => Err(DecoderError::Inconsistent(format!("setting {}.{key} is {other:?}", self.prefix))),
        }
    }

    fn rope_divisor(&self) -> Result<f32, DecoderError> {
        let kind = match self.value("rope.scaling.type") {
            None => "none",
            Some(Value::String(kind)) => kind,
            Some(other) => {
                return Err(DecoderError::Inconsistent(format!(
                    "setting {}.rope.scaling.type is {other:?}",
                    self.prefix
                )));
            }
        };
        match kind {
            "none" => Ok(1.0),
            "linear" => Ok(self.number("rope.scaling.factor")?.unwrap_or(1.0)),
            other => Err(DecoderError::Unsupported { what: format!("rotary positions scaled by {other:?}") }),
        }
    }

    /// Settings that would silently give wrong answers.
    fn refuse_what_is_missing_here(&self, shape: &Shape) -> Result<(), DecoderError> {
        let unsupported = |what: &str| Err(DecoderError::Unsupported { what: what.to_owned() });
        if self.optional_size("expert_count")?.unwrap_or(0) > 0 {
            return unsupported("a mixture of experts");
        }
        if self.optional_size("attention.value_length")?.unwrap_or(shape.head_width) != shape.head_width {
            return unsupported("values of another width than keys");
        }
        if self.optional_size("rope.dimension_count")?.unwrap_or(shape.head_width) != shape.head_width {
            return unsupported("rotary positions on a part of a head");
        }
        if self.optional_size("attention.sliding_window")?.unwrap_or(0) > 0 {
            return unsupported("a sliding window of attention");
        }
        Ok(())
    }
}

fn string(gguf: &Gguf, key: &str) -> Result<String, DecoderError> {
    match gguf.metadata().get(key) {
        Some(Value::String(value)) => Ok(value.clone()),
        _ => Err(DecoderError::Inconsistent(format!("setting {key} is missing"))),
    }
}
