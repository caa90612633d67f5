//! `audit export`: an organization's chain as a file that can be verified anywhere.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use mcpg_cp_api::{AuditExportQuery, Slug, Timestamp};
use tempfile::NamedTempFile;

use crate::client::{ApiPath, Download};
use crate::failure::{Exit, Failure};
use crate::session::Session;

/// Which part of the chain, and where to.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Export {
    /// The organization.
    organization: Slug,
    /// The file, which is there whole or not at all. Default: standard output, where that is no terminal.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// From the last row that was signed by then, such as `2026-01-01T00:00:00Z`.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// To the first signature from then on.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

impl Export {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let query = AuditExportQuery { from: self.from, until: self.until };
        match &self.file {
            None if io::stdout().is_terminal() => {
                Err(Failure::Usage("an export is no text: say where to with `--file`".to_owned()))
            }
            None => {
                let mut download = opened(session, &self.organization, &query).await?;
                let mut out = io::stdout().lock();
                while let Some(bytes) = download.next().await? {
                    out.write_all(&bytes)?;
                }
                out.flush()?;
                Ok(Exit::Done)
            }
            Some(file) => {
                let mut download = opened(session, &self.organization, &query).await?;
                let bytes = kept(&mut download, file).await?;
                session.output.say(&format!("`{}` has {bytes} bytes", file.display()));
                Ok(Exit::Done)
            }
        }
    }
}

/// Begins to read a chain.
pub(super) async fn opened(
    session: &Session,
    organization: &Slug,
    query: &AuditExportQuery,
) -> Result<Download, Failure> {
    let path = ApiPath::organization(organization).join("audit").join("export");
    Ok(session.client().await?.download(&path, query).await?)
}

/// Writes what comes beside the file, and puts it in its place once all of it is there.
async fn kept(download: &mut Download, file: &Path) -> Result<u64, Failure> {
    let failed = |error: &io::Error| Failure::Failed(format!("cannot write `{}`: {error}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let mut written = 0;
    while let Some(bytes) = download.next().await? {
        draft.write_all(&bytes).map_err(|error| failed(&error))?;
        written += bytes.len() as u64;
    }
    draft.as_file().sync_all().map_err(|error| failed(&error))?;
    draft.persist(file).map_err(|error| failed(&error.error))?;
    Ok(written)
}
