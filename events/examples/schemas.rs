//! Writes `events/schemas`, or with `--check` names every file in it that drifts from the types.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, io};

use pod_identity_events::schemas;

fn main() -> io::Result<ExitCode> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    if env::args().any(|argument| argument == "--check") {
        let drift = schemas::drift(&folder);
        for line in &drift {
            eprintln!("events/schemas: {line}");
        }
        if !drift.is_empty() {
            eprintln!(
                "write them with: cargo run -p pod-identity-events --features schemas --example schemas"
            );
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
    fs::create_dir_all(&folder)?;
    for schema in schemas::all() {
        fs::write(folder.join(schema.file_name()), schema.text())?;
    }
    Ok(ExitCode::SUCCESS)
}
