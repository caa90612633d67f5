//! `login` and `logout`: a member's session, by their organization's identity provider.
//!
//! The browser comes back to a port of this machine (RFC 8252), and only who has the verifier finishes (PKCE, RFC 7636). The
//! session's token goes to the context and is printed nowhere.

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use mcpg_cp_api::{
    CodeChallenge, CodeVerifier, FinishSignIn, LoopbackUri, OrganizationPath, SignInStarted, SignedIn,
    StartSignIn, Timestamp,
};
use sha2::{Digest as _, Sha256};

use super::gateway::now;
use crate::client::{ApiPath, Client, ClientError, Settings};
use crate::config::{Config, Context, ContextName, KeptToken};
use crate::failure::{Exit, Failure};
use crate::session::Session;

use redirect::Redirect;

mod redirect;

const CALLBACK: &str = "/callback";

/// Signs in.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Login {
    /// The organization.
    org: OrganizationPath,
    /// Print the page's address instead of opening a browser.
    #[arg(long)]
    no_browser: bool,
}

impl Login {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let path = Config::path()?;
        let mut config = Config::read(&path)?;
        // Whatever credential there is: who signs in has none yet.
        let settings = Settings { token: None, ..session.settings(&config)? };
        let name = context_name(session, &config, &settings, &self.org)?;
        let client = Client::connect(settings.clone()).await?;

        let redirect = Redirect::listen(CALLBACK).await.map_err(Failure::Output)?;
        let verifier = verifier()?;
        let begin = StartSignIn {
            organization: self.org.organization.clone(),
            redirect_uri: parsed::<LoopbackUri>(&redirect.uri())?,
            code_challenge: parsed::<CodeChallenge>(
                &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_str())),
            )?,
        };
        let begun: SignInStarted = client.post(&ApiPath::fixed("/v1/sign-in"), &begin).await?.value;
        self.show(session, &begun.authorization_url)?;
        let came = redirect.code(&begun.state, until(begun.expires_at)).await?;
        let finish =
            FinishSignIn { state: parsed(&begun.state)?, code: parsed(&came.code)?, code_verifier: verifier };
        let finished = client.post::<SignedIn>(&ApiPath::fixed("/v1/sign-in/finish"), &finish).await;
        came.answer(finished.is_ok()).await;
        let signed_in = finished?.value;

        let text =
            signed_in.token.parse().map_err(|_| Failure::Failed("the session has no token".to_owned()))?;
        let token = KeptToken { text, expires_at: Some(signed_in.expires_at) };
        keep(&mut config, &name, &settings, token);
        config.write(&path)?;
        let until = signed_in.expires_at;
        session.output.say(&format!("signed in as `{}` until {until} (context `{name}`)", signed_in.member));
        Ok(Exit::Done)
    }

    /// Opens the page in a browser where that can be done; says where it is in any case.
    fn show(&self, session: &Session, url: &str) -> Result<(), Failure> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(Failure::Failed("the control plane names no page to sign in at".to_owned()));
        }
        if self.no_browser || !opened(url) {
            session.output.say("open this page to sign in:");
        } else {
            session.output.say("your browser has been asked to open this page to sign in:");
        }
        session.output.say(url);
        Ok(())
    }
}

/// Ends the session and forgets it.
pub(super) async fn logout(session: &Session) -> Result<Exit, Failure> {
    let path = Config::path()?;
    let mut config = Config::read(&path)?;
    let named = session.connection().context.clone().or_else(|| config.current.clone());
    let kept =
        named.as_ref().and_then(|name| config.contexts.get(name)).and_then(|context| context.token.clone());
    let (Some(name), Some(kept)) = (named, kept) else {
        return Err(Failure::NotFound("no context has a session here".to_owned()));
    };
    let settings = Settings { token: Some(kept.text), ..session.settings(&config)? };
    // What has ended by itself is ended.
    let ended = match Client::connect(settings).await {
        Ok(client) => client.post_nothing(&ApiPath::fixed("/v1/sign-out")).await,
        Err(error) => Err(error),
    };
    if let Some(context) = config.contexts.get_mut(&name) {
        context.token = None;
    }
    config.write(&path)?;
    match ended {
        Ok(()) => session.output.say(&format!("signed out of context `{name}`")),
        Err(error) if is_over(&error) => {
            session.output.say(&format!("the session of context `{name}` had ended"))
        }
        Err(error) => {
            session
                .output
                .say(&format!("context `{name}` is forgotten, but the session may go on until it ends:"));
            return Err(error.into());
        }
    }
    Ok(Exit::Done)
}

fn is_over(error: &ClientError) -> bool {
    error.code() == Some(mcpg_cp_api::ProblemCode::Unauthenticated)
}

/// The context that the session goes to: the one that was named or is current, or one by the organization's name.
fn context_name(
    session: &Session,
    config: &Config,
    settings: &Settings,
    org: &OrganizationPath,
) -> Result<ContextName, Failure> {
    let fits = |name: &ContextName| {
        config.contexts.get(name).is_none_or(|context| context.server == settings.server)
    };
    let named = session.connection().context.as_ref();
    let current = config.current.as_ref().filter(|name| fits(name) && config.contexts.contains_key(name));
    if let Some(name) = named.or(current) {
        return Ok(name.clone());
    }
    let name: ContextName = parsed(org.organization.as_str())?;
    if fits(&name) {
        return Ok(name);
    }
    Err(Failure::Usage(format!("context `{name}` is another server: name one with `--context`")))
}

fn keep(config: &mut Config, name: &ContextName, settings: &Settings, token: KeptToken) {
    let context = Context {
        server: settings.server.clone(),
        ca_file: settings.ca_file.as_deref().and_then(|path| std::path::absolute(path).ok()),
        insecure_http: settings.insecure_http,
        token_file: None,
        token: Some(token),
    };
    config.contexts.insert(name.clone(), context);
    config.current.get_or_insert_with(|| name.clone());
}

fn verifier() -> Result<CodeVerifier, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::Failed(format!("no randomness: {error}")))?;
    parsed(&URL_SAFE_NO_PAD.encode(random))
}

fn until(end: Timestamp) -> std::time::Duration {
    let left = end.unix_ms().saturating_sub(now().unix_ms());
    // A clock that is wrong by much makes neither no time nor an hour of it.
    std::time::Duration::from_millis(u64::try_from(left).unwrap_or_default().clamp(60_000, 900_000))
}

/// Asks the desktop for a browser. Whether one came up cannot be told.
fn opened(url: &str) -> bool {
    let named = std::env::var_os("BROWSER").filter(|value| !value.is_empty());
    let programs = named.into_iter().chain(["xdg-open".into(), "open".into()]);
    let started = |program: std::ffi::OsString| {
        Command::new(program)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .is_ok()
    };
    programs.into_iter().any(started)
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: T::Err| Failure::Failed(error.to_string()))
}
