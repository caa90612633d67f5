//! The files of a bundle that Cedar reads: every `*.cedar`, at most one `*.cedarschema`, and `entities.json`.
//!
//! What would be ignored silently, and may hold a `forbid`, is an error or a warning.

use super::problem::{CedarError, Problem};
use super::source::Source;
use super::{BundleContext, CedarSettings};
use crate::policy::bundle::{Bundle, BundleError, BundleRequest};

const ENTITIES: &str = "entities.json";

/// The texts of a bundle.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Policy files, sorted by path.
    pub(super) policies: Vec<Source>,
    pub(super) schema: Option<Source>,
    pub(super) entities: Option<Source>,
    pub(super) warnings: Vec<String>,
}

/// Reads a bundle.
///
/// # Errors
/// When it cannot be read, holds no policy, leads outside itself or is too large.
pub(super) fn read(settings: &CedarSettings, context: &BundleContext<'_>) -> Result<Texts, CedarError> {
    let wants = |path: &str| matches!(extension(path), "cedar" | "cedarschema") || path == ENTITIES;
    let bundle = Bundle::load(&BundleRequest {
        base: context.base,
        written: &settings.bundle,
        wants: &wants,
        file_bytes_max: settings.limits.file_bytes_max,
        fetched: context.fetched,
    })?;
    let mut texts = Texts { warnings: bundle.warnings, ..Texts::default() };
    let mut problems = Vec::new();
    for (path, contents) in bundle.files {
        match String::from_utf8(contents) {
            Ok(text) => texts.add(Source::new(path, text), &mut problems),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                problems.push(Problem::of_file(path, format!("is not UTF-8 at byte {at}")));
            }
        }
    }
    if !problems.is_empty() {
        return Err(CedarError::Policies(problems));
    }
    if texts.policies.is_empty() {
        return Err(CedarError::Bundle(format!("`{}` holds no `.cedar` file", settings.bundle)));
    }
    let odd = bundle.ignored.iter().filter(|path| !matches!(extension(path), "md" | "txt"));
    texts.warnings.extend(odd.map(|path| format!("{path}: ignored: policies are in files called `*.cedar`")));
    Ok(texts)
}

impl Texts {
    fn add(&mut self, source: Source, problems: &mut Vec<Problem>) {
        match extension(&source.path) {
            "cedar" => self.policies.push(source),
            "cedarschema" => match &self.schema {
                None => self.schema = Some(source),
                Some(first) => {
                    let message = format!("a bundle has one schema, and `{}` is one already", first.path);
                    problems.push(Problem::of_file(source.path, message));
                }
            },
            _ => self.entities = Some(source),
        }
    }
}

/// What follows the last dot of a file's name.
fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

impl From<BundleError> for CedarError {
    fn from(error: BundleError) -> Self {
        match error {
            BundleError::Read { path, source } => Self::Read { path, source },
            BundleError::Whole(message) => Self::Bundle(message),
            BundleError::Files(problems) => Self::Policies(
                problems.into_iter().map(|problem| Problem::of_file(problem.path, problem.message)).collect(),
            ),
        }
    }
}
