//! Which language model this machine has the memory for.

use std::fs;
use std::path::Path;

use crate::manifest::{Generation, Manifest, ModelEntry, Task};
use crate::{ModelError, ModelStore};

/// What a model takes beside weights and cache: packed copies of small weights, activations, the vocabulary.
const OVERHEAD_BYTES: u64 = 256 << 20;

/// The memory of a machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it, or what this process is allowed of it.
    pub total: u64,
    /// What is free or can be freed at once.
    pub available: u64,
}

/// A model that was picked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its entry in the manifest.
    pub entry: ModelEntry,
    /// Memory that it needs with the context asked for, in bytes.
    pub needs: u64,
    /// The reason in a sentence.
    pub reason: String,
}

impl Memory {
    /// What the kernel reports (`/proc/meminfo`, and the limit of the control group that a container sets).
    ///
    /// Errors: [`ModelError::NoChoice`] where there is no such report.
    pub fn of_machine() -> Result<Self, ModelError> {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let machine = Self::of_meminfo(&text)
            .ok_or_else(|| ModelError::NoChoice("this system does not report its memory".to_owned()))?;
        let limits = [
            ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        ];
        let limited = |memory: Self, (limit, used): (&str, &str)| match (number(limit), number(used)) {
            (Some(limit), used) => memory.within(limit, used.unwrap_or(0)),
            _ => memory,
        };
        Ok(limits.into_iter().fold(machine, limited))
    }

    /// Reads the text of `/proc/meminfo`.
    fn of_meminfo(text: &str) -> Option<Self> {
        let bytes = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { total: bytes("MemTotal")?, available: bytes("MemAvailable")? })
    }

    /// The same within a limit of which `used` is taken.
    fn within(self, limit: u64, used: u64) -> Self {
        Self { total: self.total.min(limit), available: self.available.min(limit.saturating_sub(used)) }
    }

    /// What a language model may take: half of all, since mail, index and embedder want theirs, and no more than is there.
    fn for_a_model(self) -> u64 {
        (self.total / 2).min(self.available)
    }
}

fn number(path: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

impl Generation {
    /// Memory that the model takes with caches for `context_tokens`, in bytes.
    pub fn memory_bytes(&self, context_tokens: usize) -> u64 {
        let cache = self.cache_bytes_per_token.saturating_mul(context_tokens as u64);
        self.weights_bytes.saturating_add(OVERHEAD_BYTES).saturating_add(cache)
    }
}

/// The largest language model of `manifest` that fits into `memory` with `context_tokens` of context.
///
/// Errors: [`ModelError::NoChoice`] with what the smallest would need.
pub fn choose(manifest: &Manifest, memory: Memory, context_tokens: usize) -> Result<Choice, ModelError> {
    choose_among(manifest, memory, context_tokens, |_, generation| generation.automatic)
}

/// The same among the models that a Python package carries: what to pull where the model hub does not answer.
pub fn choose_packaged(manifest: &Manifest, memory: Memory, context_tokens: usize) -> Result<Choice, ModelError> {
    choose_among(manifest, memory, context_tokens, |entry, _| entry.pip.is_some())
}

/// The same among the models whose files are in `store`, those too that are never picked to be pulled.
pub fn choose_present(
    store: &ModelStore,
    manifest: &Manifest,
    memory: Memory,
    context_tokens: usize,
) -> Result<Choice, ModelError> {
    choose_among(manifest, memory, context_tokens, |entry, _| store.locate(entry).is_ok())
}

fn choose_among(
    manifest: &Manifest,
    memory: Memory,
    context_tokens: usize,
    wanted: impl Fn(&ModelEntry, &Generation) -> bool,
) -> Result<Choice, ModelError> {
    let models = manifest.models.iter().filter(|entry| entry.task == Task::Generation);
    let mut candidates: Vec<(u64, &ModelEntry)> = models
        .filter_map(|entry| Some((entry, entry.generation.as_ref()?)))
        .filter(|(entry, generation)| wanted(entry, generation) && context_tokens <= entry.context_tokens)
        .map(|(entry, generation)| (generation.memory_bytes(context_tokens), entry))
        .collect();
    candidates.sort_by_key(|(needs, _)| *needs);
    let budget = memory.for_a_model();
    let room = format!("{} of {} are free", gib(memory.available), gib(memory.total));
    let fitting = candidates.partition_point(|(needs, _)| *needs <= budget);
    let (below, above) = candidates.split_at(fitting);
    match (below.last(), above.first()) {
        (Some((needs, entry)), larger) => {
            let larger = match larger {
                Some((needs, larger)) => format!("; {} would need {}", larger.name, gib(*needs)),
                None => String::new(),
            };
            let name = &entry.name;
            let reason = format!(
                "{name} needs {} with {context_tokens} tokens of context, {room}, half of all is kept for the rest{larger}",
                gib(*needs)
            );
            Ok(Choice { entry: (*entry).clone(), needs: *needs, reason })
        }
        (None, Some((needs, entry))) => {
            Err(ModelError::NoChoice(format!("{} needs {}, {room}", entry.name, gib(*needs))))
        }
        (None, None) => {
            Err(ModelError::NoChoice(format!("none is there that takes {context_tokens} tokens of context")))
        }
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::{Memory, choose, choose_packaged, choose_present};
    use crate::{Manifest, ModelStore};

    const GIB: u64 = 1 << 30;

    fn memory(total: u64, available: u64) -> Memory {
        Memory { total: total * GIB, available: available * GIB }
    }

    #[test]
    fn the_largest_that_fits_is_chosen() {
        let manifest = Manifest::embedded().unwrap();
        for (total, available, context, name) in [
            (24, 22, 8192, "Qwen3-4B"),
            (24, 22, 40960, "Qwen3-4B"),
            (8, 7, 8192, "Qwen3-4B"),
            (6, 5, 8192, "Qwen3-1.7B"),
            (24, 3, 8192, "Qwen3-1.7B"),
            (10, 9, 32768, "Qwen3-0.6B"),
            (4, 3, 8192, "Qwen3-0.6B"),
        ] {
            let choice = choose(&manifest, memory(total, available), context).unwrap();
            assert_eq!(choice.entry.name, name, "{total} {available} {context}: {}", choice.reason);
            assert!(choice.needs <= total * GIB / 2 && choice.needs <= available * GIB);
        }
        let choice = choose(&manifest, memory(6, 5), 8192).unwrap();
        let expected = "Qwen3-1.7B needs 2.8 GiB with 8192 tokens of context, 5.0 GiB of 6.0 GiB are free, half of all is \
            kept for the rest; Qwen3-4B would need 3.7 GiB";
        assert_eq!(choice.reason, expected);
    }

    #[test]
    fn where_nothing_fits_the_reason_is_said() {
        let manifest = Manifest::embedded().unwrap();
        let error = choose(&manifest, memory(2, 1), 8192).unwrap_err().to_string();
        assert!(error.contains("Qwen3-0.6B needs 1.7 GiB, 1.0 GiB of 2.0 GiB are free"), "{error}");
        let error = choose(&manifest, memory(64, 64), 1 << 20).unwrap_err().to_string();
        assert!(error.contains("1048576 tokens"), "{error}");
    }

    #[test]
    fn what_is_had_by_name_only_is_chosen_where_it_is_the_only_one() {
        let manifest = Manifest::embedded().unwrap();
        let choice = choose_packaged(&manifest, memory(24, 22), 8192).unwrap();
        assert_eq!(choice.entry.name, "SmolLM2-135M-Instruct");
        let folder = tempfile::tempdir().unwrap();
        let store = ModelStore::new(folder.path());
        assert!(choose_present(&store, &manifest, memory(24, 22), 8192).is_err());
        std::fs::create_dir(store.directory(&choice.entry)).unwrap();
        let file = store.directory(&choice.entry).join("SmolLM2-135M-Instruct-Q8_0.gguf");
        std::fs::write(&file, "four").unwrap();
        assert!(
            choose_present(&store, &manifest, memory(24, 22), 8192).is_err(),
            "a file without a record is no model"
        );
        let record = format!("{{\"sha256\": \"{}\", \"bytes\": 4, \"source\": \"a test\"}}", "0".repeat(64));
        std::fs::write(file.with_extension("gguf.digest.json"), record).unwrap();
        let present = choose_present(&store, &manifest, memory(24, 22), 8192).unwrap();
        assert_eq!(present.entry.name, choice.entry.name);
    }

    #[test]
    fn memory_is_what_the_kernel_and_the_container_allow() {
        let text = "MemTotal:       24689660 kB\nMemFree:         9437184 kB\nMemAvailable:   23068672 kB\n";
        let machine = Memory::of_meminfo(text).unwrap();
        assert_eq!(machine, Memory { total: 24_689_660 << 10, available: 23_068_672 << 10 });
        assert_eq!(machine.within(4 * GIB, 3 * GIB), memory(4, 1));
        assert_eq!(machine.within(4 * GIB, 5 * GIB), memory(4, 0));
        assert_eq!(machine.within(1 << 60, 0), machine);
        assert_eq!(Memory::of_meminfo("MemTotal: lots"), None);
        if cfg!(target_os = "linux") {
            let here = Memory::of_machine().unwrap();
            assert!(here.available <= here.total && here.total > 0);
        }
    }
}
