//! What a server may use of the machine: the kernel's limits of a process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server may use; none for what the gateway itself may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, clap::Args)]
pub struct Limits {
    /// Bytes of address space (`RLIMIT_AS`).
    #[arg(long)]
    pub memory_bytes_max: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    #[arg(long)]
    pub open_files_max: Option<u64>,
    /// Seconds of processor time (`RLIMIT_CPU`).
    #[arg(long)]
    pub cpu_seconds_max: Option<u64>,
    /// Bytes of a file that it writes (`RLIMIT_FSIZE`).
    #[arg(long)]
    pub file_bytes_max: Option<u64>,
}

impl Limits {
    fn named(&self) -> [(&'static str, Resource, Option<u64>); 4] {
        [
            ("--memory-bytes-max", Resource::As, self.memory_bytes_max),
            ("--open-files-max", Resource::Nofile, self.open_files_max),
            ("--cpu-seconds-max", Resource::Cpu, self.cpu_seconds_max),
            ("--file-bytes-max", Resource::Fsize, self.file_bytes_max),
        ]
    }

    /// The limits as a command line.
    pub(super) fn arguments(&self) -> Vec<String> {
        let set = self.named().into_iter().filter_map(|(name, _, limit)| Some((name, limit?)));
        set.flat_map(|(name, limit)| [name.to_owned(), limit.to_string()]).collect()
    }

    /// Limits this process for good: the hard limit is set too. One above the hard limit in force is that one.
    pub(super) fn apply(&self) -> io::Result<()> {
        for (_, resource, limit) in self.named() {
            let Some(limit) = limit else { continue };
            let limit = getrlimit(resource).maximum.map_or(limit, |maximum| maximum.min(limit));
            setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
        Ok(())
    }
}
