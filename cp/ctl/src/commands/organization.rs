//! `org`: organizations.

use clap::{ArgGroup, Args, Subcommand};
use mcpg_cp_api::{
    CreateOrganization, DisplayName, Domain, IssuerUrl, Line, Organization, OrganizationPath, SetSubdomain,
    SingleSignOn, Subdomain, UpdateOrganization,
};

use super::whole;
use crate::client::{ApiPath, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with organizations.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Creates an organization.
    Create {
        /// Its slug, such as `acme-corp`.
        org: OrganizationPath,
        /// The name that people read.
        #[arg(long)]
        display_name: Option<DisplayName>,
        /// The label below the service's domain that leads to it, such as `acme` of `acme.mcpg.dev`.
        #[arg(long)]
        subdomain: Option<Subdomain>,
    },
    /// Lists the organizations that you may see.
    List,
    /// Shows an organization.
    Get {
        /// Its slug.
        org: OrganizationPath,
    },
    /// Changes an organization's name and how its members sign in.
    Update(Update),
    /// Gives an organization a subdomain, or takes it away.
    Subdomain {
        /// Its slug.
        org: OrganizationPath,
        /// The label, such as `acme`.
        #[arg(required_unless_present = "remove")]
        subdomain: Option<Subdomain>,
        /// Take it away.
        #[arg(long, conflicts_with = "subdomain")]
        remove: bool,
    },
}

/// What is to be changed; the rest stays.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["display_name", "sso_issuer", "remove_sso"]))]
pub struct Update {
    /// Its slug.
    org: OrganizationPath,
    /// The name that people read.
    #[arg(long)]
    display_name: Option<DisplayName>,
    /// The OpenID Connect issuer that members sign in with.
    #[arg(long, value_name = "URL", requires_all = ["sso_client_id", "sso_domains"])]
    sso_issuer: Option<IssuerUrl>,
    /// The client id that the issuer knows the control plane by.
    #[arg(long, value_name = "ID", requires = "sso_issuer")]
    sso_client_id: Option<Line<256>>,
    /// A domain whose addresses are members. Can be repeated.
    #[arg(long = "sso-domain", value_name = "DOMAIN", requires = "sso_issuer")]
    sso_domains: Vec<Domain>,
    /// Take signing in away.
    #[arg(long, conflicts_with = "sso_issuer")]
    remove_sso: bool,
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let client = session.client().await?;
        match self {
            Self::Create { org, display_name, subdomain } => {
                let new = CreateOrganization { slug: org.organization, display_name, subdomain };
                let made: Organization = client.post(&ApiPath::organizations(), &new).await?.value;
                session.output.done(&made, &format!("organization `{}` created", made.path))?;
            }
            Self::List => {
                let found: Vec<Organization> = client.list(&ApiPath::organizations(), &whole()).await?;
                session.output.list(&found)?;
            }
            Self::Get { org } => {
                session.output.one(&client.get::<Organization>(&ApiPath::from(&org)).await?)?;
            }
            Self::Update(update) => update.run(session).await?,
            Self::Subdomain { org, subdomain, .. } => {
                let path = ApiPath::from(&org);
                let now: Organization = client.get(&path).await?;
                let body = SetSubdomain { subdomain };
                let path = path.join("subdomain");
                let changed: Organization = client.put(&path, &body, &Condition::Is(now.etag)).await?.value;
                let said = match &changed.subdomain {
                    Some(label) => format!("organization `{org}` has the subdomain `{label}`"),
                    None => format!("organization `{org}` has no subdomain"),
                };
                session.output.done(&changed, &said)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Update {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client().await?;
        let path = ApiPath::from(&self.org);
        let now: Organization = client.get(&path).await?;
        let single_sign_on = match (self.sso_issuer, self.sso_client_id) {
            (Some(issuer), Some(client_id)) => {
                Some(SingleSignOn { issuer, client_id, domains: self.sso_domains })
            }
            _ => now.single_sign_on.filter(|_| !self.remove_sso),
        };
        let body = UpdateOrganization {
            display_name: self.display_name.unwrap_or(now.display_name),
            single_sign_on,
        };
        let changed: Organization = client.put(&path, &body, &Condition::Is(now.etag)).await?.value;
        Ok(session.output.done(&changed, &format!("organization `{}` changed", self.org))?)
    }
}

impl Show for Organization {
    const COLUMNS: &'static [&'static str] = &["NAME", "DISPLAY NAME", "SUBDOMAIN", "SIGN-IN", "CREATED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.path.to_string(),
            self.display_name.to_string(),
            self.subdomain.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.single_sign_on.as_ref().map(|sign_on| sign_on.issuer.to_string()).unwrap_or_default(),
            self.created_at.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.path.to_string()
    }
}
