//! What Linux tells of a running process.

use std::fs;
use std::io;

use crate::Failure;

/// CPU that a process has used, in milliseconds, in user and in kernel mode.
///
/// The sum over its threads of what the scheduler counted in nanoseconds; the
/// usual counters go by hundredths of a second. Threads that have ended are
/// not in it: none of the measured programs ends one within seconds.
///
/// # Errors
/// When it has ended, or the kernel has no such count (`CONFIG_SCHED_INFO`).
pub(crate) fn cpu_ms(process: u32) -> Result<f64, Failure> {
    let tasks = format!("/proc/{process}/task");
    let mut nanoseconds = 0_u64;
    for task in fs::read_dir(&tasks).map_err(|error| unreadable(&tasks, &error))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path)
            .map_err(|error| unreadable(&path.display().to_string(), &error))?;
        let spent = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        nanoseconds += spent.ok_or_else(|| format!("{} has no count", path.display()))?;
    }
    #[allow(clippy::cast_precision_loss)]
    Ok(nanoseconds as f64 / 1e6)
}

/// Most memory that a process had resident at once, in megabytes of 10^6 bytes.
///
/// # Errors
/// When it has ended.
pub(crate) fn peak_mb(process: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.ok_or_else(|| format!("{path} has no VmHWM"))? * 1024.0 / 1e6)
}

fn unreadable(path: &str, error: &io::Error) -> String {
    format!("failed to read {path}, which takes Linux and a process that runs: {error}")
}
