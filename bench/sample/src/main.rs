//! `rejoinder-sample [FOLDER]`: renders `FOLDER/source` into `FOLDER`, `examples/mailbox` unless another is named.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("examples/mailbox"), PathBuf::from);
    match rejoinder_sample::render(&folder.join("source"), &folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                eprintln!("  {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}
