//! Threads that hash passwords, beside those that serve.
//!
//! A password hash takes tens of milliseconds and megabytes on purpose. Here it takes them from a few threads of
//! low priority, so that a flood of log-ins slows log-ins and nothing else.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use super::phc::Memory;
use crate::threads::{Full, Terms, Threads, ThreadsUse, Workspace};

const THREADS_MAX: usize = 4;
const QUEUE_MAX: usize = 512;
/// Under load they get about a tenth of what a serving thread gets.
const NICE: i32 = 10;

/// The pool. Its clones share its threads, which start with the first job and end with the last clone.
#[derive(Debug, Clone)]
pub struct HashPool(Threads<Memory>);

impl Default for HashPool {
    /// Half of the cores, at most four threads: at most 512 MiB at the dearest parameters that are accepted.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new((cores / 2).clamp(1, THREADS_MAX), QUEUE_MAX)
    }
}

impl HashPool {
    /// A pool of so many threads, for which so many jobs may wait.
    pub fn new(threads_max: usize, queue_max: usize) -> Self {
        let terms = Terms { name: "mcpg-hash", threads_max, queue_max, stack_bytes: None, nice: NICE };
        Self(Threads::new(terms))
    }

    /// How much of it is in use.
    pub fn usage(&self) -> ThreadsUse {
        self.0.usage()
    }

    /// Has a job done some time soon, in the order of arrival. It gets the thread's memory, and how long it has waited.
    pub(crate) fn submit(
        &self,
        job: impl FnOnce(&mut Memory, Duration) + Send + 'static,
    ) -> Result<(), Full> {
        self.0.submit(job)
    }
}

impl Workspace for Memory {
    fn rest(&mut self) {
        self.free();
    }
}
