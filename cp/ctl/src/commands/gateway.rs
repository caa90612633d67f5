//! `gateway`: gateways of an environment, and the tokens they enrol with.

use clap::{Args, Subcommand};
use mcpg_cp_api::{
    CreateEnrollmentToken, EnrollmentToken, EnvironmentPath, Gateway, GatewayStatus, Id, NewEnrollmentToken,
    Timestamp,
};

use super::whole;
use crate::arguments::{Label, Moment, Span, ago, joined};
use crate::client::{ApiPath, Client, ClientError, Condition};
use crate::failure::{Exit, Failure};
use crate::output::Show;
use crate::session::Session;

/// What can be done with gateways.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Tokens with which gateways enrol. With an environment alone: makes one.
    EnrollToken(EnrollToken),
    /// Lists the gateways of an environment and how they are.
    List {
        /// The environment.
        env: EnvironmentPath,
    },
    /// Shows a gateway and how it is.
    Get {
        /// The environment.
        env: EnvironmentPath,
        /// Its name or id.
        gateway: String,
    },
    /// Retires a gateway: from then on it is refused. It serves what it has until it is stopped.
    Retire {
        /// The environment.
        env: EnvironmentPath,
        /// Its name or id.
        gateway: String,
    },
}

/// What can be done with enrollment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct EnrollToken {
    #[command(flatten)]
    new: Option<NewToken>,
    #[command(subcommand)]
    verb: Option<EnrollTokenVerb>,
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NewToken {
    /// The environment that the gateway will serve.
    #[arg(required = true)]
    env: EnvironmentPath,
    /// How long it can be used: a minute to a week. Default: an hour.
    #[arg(long, value_name = "SPAN")]
    expires_in: Option<Span>,
    /// A label that the gateway will have, such as `region=eu`. Can be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Label>,
}

/// What can be done with enrollment tokens.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum EnrollTokenVerb {
    /// Makes a token with which one gateway enrols, once. It is printed once, alone on standard output.
    Create(NewToken),
    /// Lists the enrollment tokens.
    List {
        /// The environment.
        env: EnvironmentPath,
    },
    /// Revokes an enrollment token.
    Revoke {
        /// The environment.
        env: EnvironmentPath,
        /// The token's id.
        id: Id,
    },
}

impl Verb {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        match self {
            Self::EnrollToken(EnrollToken { verb: Some(verb), .. }) => verb.run(session).await?,
            Self::EnrollToken(EnrollToken { new: Some(new), .. }) => new.run(session).await?,
            Self::EnrollToken(_) => {
                return Err(Failure::Usage("say for which environment: `ORG/WORKSPACE/ENV`".to_owned()));
            }
            Self::List { env } => {
                session.output.list(&list(session.client().await?, &env).await?)?;
            }
            Self::Get { env, gateway } => {
                session.output.one(&find(session.client().await?, &env, &gateway).await?)?;
            }
            Self::Retire { env, gateway } => {
                let client = session.client().await?;
                let found = find(client, &env, &gateway).await?;
                let path = gateways(&env).join(found.id.as_str());
                client.delete(&path, &Condition::Nothing).await?;
                session.output.say(&format!("gateway `{}` of `{env}` is retired", found.name));
            }
        }
        Ok(Exit::Done)
    }
}

impl EnrollTokenVerb {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Create(new) => new.run(session).await,
            Self::List { env } => {
                let path = tokens(&env);
                let found = session.client().await?.list::<EnrollmentToken>(&path, &whole()).await?;
                Ok(session.output.list(&found)?)
            }
            Self::Revoke { env, id } => {
                let path = tokens(&env).join(id.as_str());
                session.client().await?.delete(&path, &Condition::Nothing).await?;
                session.output.say(&format!("enrollment token {id} is revoked"));
                Ok(())
            }
        }
    }
}

impl NewToken {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let body = CreateEnrollmentToken {
            expires_in_seconds: super::seconds(self.expires_in)?,
            labels: Label::all(self.labels),
        };
        let made: NewEnrollmentToken = session.client().await?.post(&tokens(&self.env), &body).await?.value;
        let EnrollmentToken { id, environment, expires_at, .. } = &made.resource;
        let said = format!(
            "one gateway enrols with it in `{environment}` until {expires_at} (token {id}); it is not shown again"
        );
        Ok(session.output.secret(&made, &made.token, &said)?)
    }
}

fn tokens(env: &EnvironmentPath) -> ApiPath {
    ApiPath::from(env).join("enrollment-tokens")
}

fn gateways(env: &EnvironmentPath) -> ApiPath {
    ApiPath::from(env).join("gateways")
}

/// The gateways of an environment.
pub(super) async fn list(client: &Client, env: &EnvironmentPath) -> Result<Vec<Gateway>, ClientError> {
    client.list(&gateways(env), &whole()).await
}

/// A gateway by its id, or by its name among those that are not retired.
async fn find(client: &Client, env: &EnvironmentPath, wanted: &str) -> Result<Gateway, Failure> {
    if let Ok(id) = wanted.parse::<Id>() {
        return Ok(client.get(&gateways(env).join(id.as_str())).await?);
    }
    let found = list(client, env).await?.into_iter().find(|gateway| gateway.name.as_str() == wanted);
    found.ok_or_else(|| Failure::NotFound(format!("there is no gateway `{wanted}` in `{env}`")))
}

/// The word for how a gateway is.
pub(super) fn status(gateway: &Gateway) -> &'static str {
    match gateway.status {
        GatewayStatus::Enrolled => "enrolled",
        GatewayStatus::Online => "online",
        GatewayStatus::Offline => "offline",
    }
}

/// The revision that it refused, with why.
pub(super) fn rejected(gateway: &Gateway) -> String {
    let rejected = gateway.rejected.as_ref();
    rejected.map(|rejected| format!("{}: {}", rejected.number, rejected.reason)).unwrap_or_default()
}

/// The version of the revocation list that it goes by, and the one that it should where that is another.
pub(super) fn revoked_by(gateway: &Gateway) -> String {
    let list = |terms: mcpg_cp_api::HeldTerms| format!("list {}", terms.revocation_list);
    match (gateway.terms, gateway.wanted_terms) {
        (Some(has), Some(wanted)) if has != wanted => {
            format!("{} of {}", list(has), wanted.revocation_list)
        }
        (None, Some(wanted)) => format!("none of {}", wanted.revocation_list),
        (has, _) => has.map(list).unwrap_or_default(),
    }
}

/// This moment.
pub(super) fn now() -> Timestamp {
    Moment::Ago(Span(std::time::Duration::ZERO)).resolved()
}

impl Show for Gateway {
    const COLUMNS: &'static [&'static str] = &[
        "NAME",
        "STATUS",
        "APPLIED",
        "WANTED",
        "REVOKED BY",
        "LAST SEEN",
        "VERSION",
        "LABELS",
        "ID",
        "REJECTED",
    ];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        vec![
            self.name.to_string(),
            status(self).to_owned(),
            number(self.applied),
            number(self.wanted),
            revoked_by(self),
            self.last_seen_at.map(|time| ago(time, now())).unwrap_or_default(),
            self.version.clone().unwrap_or_default(),
            joined(&self.labels),
            self.id.to_string(),
            rejected(self),
        ]
    }

    fn name(&self) -> String {
        self.name.to_string()
    }
}

impl Show for EnrollmentToken {
    const COLUMNS: &'static [&'static str] = &["ID", "EXPIRES", "USED BY", "LABELS", "CREATED", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.expires_at.to_string(),
            self.used_by.as_ref().map(ToString::to_string).unwrap_or_default(),
            joined(&self.labels),
            self.created_at.to_string(),
            self.created_by.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.id.to_string()
    }
}
