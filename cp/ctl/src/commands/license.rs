//! `license`: what an organization has bought.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Subcommand;
use mcpg_cp_api::{InstallLicense, License, LicenseTier, OrganizationPath};

use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

const BYTES_MAX: u64 = 16_384;

/// What can be done with licences.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Installs a licence file.
    Install {
        /// The organization.
        org: OrganizationPath,
        /// The file; `-` for standard input.
        file: PathBuf,
    },
    /// Shows the licence that is in force.
    Show {
        /// The organization.
        org: OrganizationPath,
    },
    /// Removes the licence: what is left is Community.
    Remove {
        /// The organization.
        org: OrganizationPath,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let path = |org: &OrganizationPath| ApiPath::from(org).join("license");
        match self {
            Self::Install { org, file } => {
                let license = read(&file)?;
                let client = session.client().await?;
                let path = path(&org);
                let now: License = client.get(&path).await?;
                let body = InstallLicense { license };
                let installed: License = client.put(&path, &body, &Condition::Is(now.etag)).await?.value;
                session.output.done(&installed, &format!("`{org}` is {}", word(installed.tier)))?;
                if let Some(reason) = &installed.refused {
                    return Err(Failure::Failed(format!("the licence is not in force: {reason}")));
                }
            }
            Self::Show { org } => {
                session.output.one(&session.client().await?.get::<License>(&path(&org)).await?)?;
            }
            Self::Remove { org } => {
                let client = session.client().await?;
                let left: License = client.delete_for(&path(&org), &Condition::Exists).await?;
                session.output.done(&left, &format!("`{org}` is {}", word(left.tier)))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn read(file: &PathBuf) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("cannot read `{}`: {error}", file.display()));
    let source: Box<dyn std::io::Read> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(failed)?)
    };
    let mut text = String::new();
    source.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let text = text.trim();
    if text.is_empty() || text.len() as u64 > BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Usage(format!("`{}` is no licence file", file.display())));
    }
    Ok(text.to_owned())
}

fn word(tier: LicenseTier) -> &'static str {
    match tier {
        LicenseTier::Community => "Community",
        LicenseTier::Pro => "Pro",
        LicenseTier::Team => "Team",
        LicenseTier::Enterprise => "Enterprise",
    }
}

impl Show for License {
    const COLUMNS: &'static [&'static str] =
        &["TIER", "NOT IN FORCE", "LICENCE", "KEY", "EXPIRES", "AUDIT RETENTION", "ENTITLEMENTS", "QUOTAS"];

    fn cells(&self) -> Vec<String> {
        let quotas = self.quotas.iter().map(|(name, number)| format!("{name}={number}"));
        vec![
            word(self.tier).to_owned(),
            self.refused.clone().unwrap_or_default(),
            self.license_id.clone().unwrap_or_default(),
            self.key_id.clone().unwrap_or_default(),
            self.expires_at.map(|time| time.to_string()).unwrap_or_default(),
            format!("{} days", self.audit_retention_days),
            self.entitlements.join(" "),
            quotas.collect::<Vec<_>>().join(" "),
        ]
    }

    fn name(&self) -> String {
        word(self.tier).to_owned()
    }
}
