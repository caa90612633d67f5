//! Where a gateway stands with its control plane: for `/readyz` and the metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mcpg_cp_api::EnvironmentPath;
use parking_lot::Mutex;

use crate::metrics::{Sample, SampleKind};

/// Shared by those who follow and those who ask.
#[derive(Debug, Default)]
pub struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Why an enrolment has not come about yet.
    joining: Option<String>,
    environments: BTreeMap<String, Environment>,
    applied: u64,
    refused: u64,
    retried: u64,
}

#[derive(Debug, Default)]
struct Environment {
    is_followed: bool,
    /// The number in force; 0 for none.
    number: u64,
    heard: Option<Instant>,
    /// What went wrong last, until something goes well.
    problem: Option<String>,
}

impl Standing {
    /// An enrolment has not come about yet; none once it has.
    pub(super) fn joining(&self, problem: Option<String>) {
        self.0.lock().joining = problem;
    }

    /// An environment is served from what is on disk; 0 where that is nothing.
    pub(super) fn begins(&self, environment: &EnvironmentPath, number: u64) {
        self.of(environment, |one| one.number = number);
    }

    /// The control plane has answered.
    pub(super) fn heard(&self, environment: &EnvironmentPath) {
        self.of(environment, |one| one.heard = Some(Instant::now()));
    }

    /// The stream of revisions is open.
    pub(super) fn follows(&self, environment: &EnvironmentPath) {
        self.of(environment, |one| {
            one.is_followed = true;
            one.heard = Some(Instant::now());
            one.problem = None;
        });
    }

    /// It is not any more, or could not be opened.
    pub(super) fn lost(&self, environment: &EnvironmentPath, problem: Option<&str>) {
        self.of(environment, |one| {
            one.is_followed = false;
            one.problem = problem.map(str::to_owned).or(one.problem.take());
        });
    }

    /// A revision is in force.
    pub(super) fn applied(&self, environment: &EnvironmentPath, number: u64) {
        self.0.lock().applied += 1;
        self.of(environment, |one| {
            one.number = number;
            one.problem = None;
        });
    }

    /// A revision was refused.
    pub(super) fn refused(&self, environment: &EnvironmentPath, number: u64, problem: &str) {
        self.0.lock().refused += 1;
        self.of(environment, |one| one.problem = Some(format!("revision {number} was refused: {problem}")));
    }

    /// A revision that was refused is tried again.
    pub(super) fn retried(&self) {
        self.0.lock().retried += 1;
    }

    /// What a gateway without a configuration waits for.
    pub fn waits_for(&self) -> String {
        let state = self.0.lock();
        let environment = state.environments.iter().next();
        match (&state.joining, environment) {
            (Some(problem), None) => format!("enrolment: {problem}"),
            (_, Some((name, Environment { problem: Some(problem), .. }))) => {
                format!("the first revision of `{name}`: {problem}")
            }
            (_, Some((name, _))) => {
                format!("the first revision of `{name}`: none is published for this gateway yet")
            }
            (None, None) => "enrolment".to_owned(),
        }
    }

    /// For the metrics. Nothing where there is no control plane.
    pub fn samples(&self) -> Vec<Sample> {
        let state = self.0.lock();
        let environments = || state.environments.values();
        if state.joining.is_none() && state.environments.is_empty() {
            return Vec::new();
        }
        let age = environments().map(|one| one.heard.map_or(Duration::MAX, |heard| heard.elapsed())).max();
        let mut samples = vec![
            (SampleKind::ControlPlaneEnvironments, state.environments.len() as u64),
            (SampleKind::ControlPlaneFollowed, environments().filter(|one| one.is_followed).count() as u64),
            (
                SampleKind::ControlPlaneRevision,
                environments().map(|one| one.number).min().unwrap_or_default(),
            ),
            (SampleKind::ControlPlaneApplied, state.applied),
            (SampleKind::ControlPlaneRefused, state.refused),
            (SampleKind::ControlPlaneRetried, state.retried),
        ];
        // One that was never heard of has no age.
        if let Some(age) = age.filter(|age| *age != Duration::MAX) {
            samples.push((SampleKind::ControlPlaneSilence, age.as_secs()));
        }
        samples.into_iter().map(|(kind, value)| Sample::new(kind, value)).collect()
    }

    fn of(&self, environment: &EnvironmentPath, change: impl FnOnce(&mut Environment)) {
        change(self.0.lock().environments.entry(environment.to_string()).or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said_with_its_reason() {
        let environment: EnvironmentPath = "acme-corp/platform-team/prod".parse().unwrap();
        let standing = Standing::default();
        let check = |expected: &str| assert_eq!(standing.waits_for(), expected);
        standing.joining(Some("connection refused".to_owned()));
        check("enrolment: connection refused");
        standing.joining(None);
        standing.begins(&environment, 0);
        let none =
            "the first revision of `acme-corp/platform-team/prod`: none is published for this gateway yet";
        check(none);
        standing.lost(&environment, Some("the control plane answers 401: no"));
        check("the first revision of `acme-corp/platform-team/prod`: the control plane answers 401: no");
        standing.follows(&environment);
        check(none);
        standing.refused(&environment, 3, "no such secret");
        standing.lost(&environment, None);
        check("the first revision of `acme-corp/platform-team/prod`: revision 3 was refused: no such secret");
    }
}
