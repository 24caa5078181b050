//! A GGUF file written anew with its quantised weights as `Q8_0`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Content, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result};

/// `general.file_type` of a file that is mostly `Q8_0`, in llama.cpp's numbering.
const MOSTLY_Q8_0: u32 = 7;
const FILE_TYPE: &str = "general.file_type";

/// Writes the file at `from` to `to`: every quantised tensor as `Q8_0`, tensors that are not quantised and all metadata as
/// they are. The same input gives the same bytes: tensors keep their order, metadata is sorted by key, and quantising is
/// arithmetic on 32-bit floats in a fixed order.
pub(super) fn to_q8_0(from: &Path, to: &Path) -> Result<()> {
    let mut reader = BufReader::new(File::open(from)?);
    let content = Content::read(&mut reader)?;
    let mut names: Vec<(&String, u64)> = content.tensor_infos.iter().map(|(name, info)| (name, info.offset)).collect();
    names.sort_by(|(name, offset), (other, after)| offset.cmp(after).then_with(|| name.cmp(other)));
    let mut tensors = Vec::with_capacity(names.len());
    for (name, _) in names {
        let tensor = content.tensor(&mut reader, name, &Device::Cpu)?;
        tensors.push((name.as_str(), requantised(tensor)?));
    }
    let file_type = Value::U32(MOSTLY_Q8_0);
    let mut metadata: Vec<(&str, &Value)> = content
        .metadata
        .iter()
        .map(|(key, value)| (key.as_str(), value))
        .filter(|(key, _)| *key != FILE_TYPE)
        .collect();
    metadata.push((FILE_TYPE, &file_type));
    metadata.sort_by_key(|(key, _)| *key);
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut writer = BufWriter::new(File::create(to)?);
    gguf_file::write(&mut writer, &metadata, &tensors)?;
    writer.flush()?;
    Ok(())
}

fn requantised(tensor: QTensor) -> Result<QTensor> {
    let exact = matches!(tensor.dtype(), GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 | GgmlDType::Q8_0);
    let width = tensor.shape().dims().last().copied().unwrap_or(0);
    if exact || !width.is_multiple_of(GgmlDType::Q8_0.block_size()) {
        return Ok(tensor);
    }
    QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)
}
