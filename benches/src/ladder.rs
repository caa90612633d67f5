//! The ladder: the same load on the upstream alone, on bare Pingora, on the gateway with stage after stage added, and on
//! peers, in turns within one run, so that each round sees the same machine.

mod peer;
mod place;
mod rung;
mod started;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};

pub use place::Place;
pub use rung::{RUNGS, Rung};
pub use started::{Cores, Started, Upstream};
pub use table::{Figures, median, table};

use crate::load::{Session, Until};
use crate::process::Program;

/// How long a rung runs unmeasured at the start of every round.
const WARM_UP: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder `benches/ladder`.
    pub ladder: PathBuf,
    /// The rungs, in order.
    pub rungs: Vec<Rung>,
    /// How often each rung is measured.
    pub rounds: usize,
    /// How long each time.
    pub time: Duration,
    /// The size of both bodies.
    pub bytes: usize,
    /// Connections, each with one request under way.
    pub connections: usize,
}

/// A rung that is up and has its connections.
struct Step {
    started: Started,
    session: Session,
    figures: Figures,
}

/// Starts every rung and measures them in turns.
///
/// # Errors
/// When one cannot be started or answers with anything but 200.
pub fn climb(plan: &Plan, report: &mut dyn FnMut(&str)) -> anyhow::Result<Vec<(Rung, Figures)>> {
    let cores = Cores::choose()?;
    if cores.proxy == cores.load {
        report("only one core: proxy and load share it, and throughputs mean little");
    }
    let upstream = Upstream::start(plan.bytes, cores)?;
    let mut steps = Vec::new();
    for rung in &plan.rungs {
        let Some(started) = Started::new(*rung, &plan.ladder, upstream.address, cores)? else {
            report(&format!("skipped {}: it is not installed", rung.name));
            continue;
        };
        let session = started.session(plan.bytes, plan.connections)?;
        steps.push(Step { started, session, figures: Figures::default() });
    }
    ensure!(!steps.is_empty(), "there is nothing to measure");
    crate::process::pin(cores.load)?;
    for round in 1..=plan.rounds {
        if round % 10 == 1 {
            report(&format!("{} bytes, round {round} of {}", plan.bytes, plan.rounds));
        }
        for step in &mut steps {
            let failed = step.started.explain();
            step.measure(plan.time).with_context(|| failed)?;
        }
    }
    Ok(steps.into_iter().map(|step| (step.started.rung, step.figures)).collect())
}

impl Step {
    fn measure(&mut self, time: Duration) -> anyhow::Result<()> {
        self.session.run(Until::Elapsed(WARM_UP))?;
        let cpu = |started: &Started| started.program().map(Program::cpu).transpose();
        let before = cpu(&self.started)?;
        let done = self.session.run(Until::Elapsed(time))?;
        let after = cpu(&self.started)?;
        self.figures.rates.push(done.rate());
        if let (Some(before), Some(after)) = (before, after) {
            self.figures.cpu_us.push((after - before).as_secs_f64() * 1e6 / done.requests as f64);
        }
        Ok(())
    }
}
