//! What the kernel counts of a process (Linux, `proc(5)`).

use std::fs;

use anyhow::{Context, Result};

/// Kernel clock ticks a second: 100 on every Linux that we run on (`sysconf(_SC_CLK_TCK)`).
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time that process `pid` has used, in seconds.
///
/// # Errors
/// The process is gone, or this is no Linux.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("stat has a name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |at: usize| -> Result<f64> { Ok(fields.get(at).context("stat is short")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Resident memory of process `pid`, in bytes.
///
/// # Errors
/// The process is gone, or this is no Linux.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|rest| rest.split_whitespace().next())
        .context("status has no VmRSS")?
        .parse()?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
    }
}
