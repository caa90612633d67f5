//! Where a gateway stands with its control plane: for `/readyz`, `/revision` and the metrics.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mcpg_cp_api::{EnvironmentPath, HeldTerms, LicenseTerms, Terms};
use parking_lot::Mutex;
use serde::Serialize;

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
    terms_refused: u64,
}

#[derive(Debug, Default)]
struct Environment {
    is_followed: bool,
    /// The number in force; 0 for none.
    number: u64,
    heard: Option<Instant>,
    /// The organization's terms; none before the first.
    terms: Option<TermsInForce>,
    /// What went wrong last, until something goes well.
    problem: Option<String>,
}

/// The terms of an environment's organization, as they are shown.
#[derive(Debug, Clone, Serialize)]
pub struct TermsInForce {
    /// Which they are.
    #[serde(flatten)]
    pub held: HeldTerms,
    /// How many artifacts must not run.
    pub revoked: usize,
    /// What the organization has bought.
    pub license: LicenseTerms,
}

/// An environment, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub struct ShownEnvironment {
    /// Its path.
    pub environment: String,
    /// The number of the revision in force; 0 for none.
    pub revision: u64,
    /// The terms in force; none before the first.
    pub terms: Option<TermsInForce>,
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

    /// Terms are in force.
    pub(super) fn terms(&self, environment: &EnvironmentPath, held: HeldTerms, terms: &Terms) {
        let revoked = terms.revocation_list.artifacts.len();
        let terms = TermsInForce { held, revoked, license: terms.license.clone() };
        self.of(environment, |one| one.terms = Some(terms));
    }

    /// Terms were refused.
    pub(super) fn terms_refused(&self) {
        self.0.lock().terms_refused += 1;
    }

    /// What is in force of each environment.
    pub fn shown(&self) -> Vec<ShownEnvironment> {
        let state = self.0.lock();
        let shown = state.environments.iter().map(|(environment, one)| ShownEnvironment {
            environment: environment.clone(),
            revision: one.number,
            terms: one.terms.clone(),
        });
        shown.collect()
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
            (SampleKind::ControlPlaneTerms, lowest(environments(), |held| held.version)),
            (SampleKind::ControlPlaneRevocationList, lowest(environments(), |held| held.revocation_list)),
            (SampleKind::ControlPlaneTermsRefused, state.terms_refused),
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

/// The lowest version of several environments; 0 where one has none.
fn lowest<'e>(environments: impl Iterator<Item = &'e Environment>, version: fn(&HeldTerms) -> u64) -> u64 {
    let version = |one: &Environment| one.terms.as_ref().map_or(0, |terms| version(&terms.held));
    environments.map(version).min().unwrap_or_default()
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
