//! `secret-ref`: names for secrets that gateways resolve. The secrets themselves are nowhere here.

use clap::Subcommand;
use mcpg_cp_api::{PutSecretReference, SecretReference, SecretUri, Slug, WorkspacePath};

use super::whole;
use crate::client::{ApiPath, Client, ClientError, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with secret references.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Says where gateways find a secret.
    Set {
        /// The workspace.
        workspace: WorkspacePath,
        /// The name that settings refer to, as `$secret://ref/NAME`.
        name: Slug,
        /// Where it is, such as `$secret://vault/kv/data/mcpg/api-keys/prod#token`.
        reference: SecretUri,
    },
    /// Shows where gateways find a secret.
    Get {
        /// The workspace.
        workspace: WorkspacePath,
        /// Its name there.
        name: Slug,
    },
    /// Lists the secret references of a workspace.
    List {
        /// The workspace.
        workspace: WorkspacePath,
    },
    /// Deletes a secret reference.
    Delete {
        /// The workspace.
        workspace: WorkspacePath,
        /// Its name there.
        name: Slug,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        let path = |workspace: &WorkspacePath| ApiPath::from(workspace).join("secret-references");
        match self {
            Self::Set { workspace, name, reference } => {
                let path = path(&workspace).join(name.as_str());
                let (put, is_made) = set(client, &path, &PutSecretReference { reference }).await?;
                let done = if is_made { "created" } else { "changed" };
                session.output.done(&put, &format!("secret reference `{name}` of `{workspace}` {done}"))?;
            }
            Self::Get { workspace, name } => {
                let path = path(&workspace).join(name.as_str());
                session.output.one(&client.get::<SecretReference>(&path).await?)?;
            }
            Self::List { workspace } => {
                session.output.list(&client.list::<SecretReference>(&path(&workspace), &whole()).await?)?;
            }
            Self::Delete { workspace, name } => {
                client.delete(&path(&workspace).join(name.as_str()), &Condition::Exists).await?;
                session.output.say(&format!("secret reference `{name}` of `{workspace}` deleted"));
            }
        }
        Ok(Exit::Done)
    }
}

/// Makes it where it is not there, and changes it as it was read where it is.
async fn set(
    client: &Client,
    path: &ApiPath,
    body: &PutSecretReference,
) -> Result<(SecretReference, bool), ClientError> {
    let condition = match client.get::<SecretReference>(path).await {
        Ok(found) => Condition::Is(found.etag),
        Err(error) if error.code() == Some(mcpg_cp_api::ProblemCode::NotFound) => Condition::Absent,
        Err(error) => return Err(error),
    };
    let answer = client.put::<SecretReference>(path, body, &condition).await?;
    let is_made = answer.is_made();
    Ok((answer.value, is_made))
}

impl Show for SecretReference {
    const COLUMNS: &'static [&'static str] = &["NAME", "REFERENCE", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.reference.to_string(),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}
