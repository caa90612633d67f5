//! The tenancy tree: organizations, workspaces, environments.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Actor, DisplayName, EnvironmentPath, Id, Line, OrganizationPath, Slug, Timestamp, WorkspacePath,
};

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    /// Its id.
    pub id: Id,
    /// Its slug.
    pub path: OrganizationPath,
    /// Its entity tag, without the quotes: what `If-Match` wants.
    pub etag: String,
    /// The name that people read.
    pub display_name: DisplayName,
    /// The label below the service's domain that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<Subdomain>,
    /// How its members sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_sign_on: Option<SingleSignOn>,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A new organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOrganization {
    /// Its slug.
    pub slug: Slug,
    /// The name that people read; the slug where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
    /// The label below the service's domain that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<Subdomain>,
}

/// Gives an organization a subdomain. It is a name among all organizations, so an administrator of the service gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSubdomain {
    /// The label below the service's domain that leads to it; absent takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain: Option<Subdomain>,
}

/// All that an organization's administrator can change of it: what is absent is taken away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOrganization {
    /// The name that people read.
    pub display_name: DisplayName,
    /// How its members sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_sign_on: Option<SingleSignOn>,
}

/// An OpenID Connect provider of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SingleSignOn {
    /// The issuer's URL, exactly as in its tokens: `https://login.acme.com`.
    pub issuer: IssuerUrl,
    /// The client id that the provider knows the control plane by. A public client: PKCE stands for a secret.
    pub client_id: Line<256>,
    /// The domains whose addresses are members: `acme.com`.
    #[schemars(length(min = 1, max = 20))]
    pub domains: Vec<Domain>,
}

/// A workspace of an organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workspace {
    /// Its id.
    pub id: Id,
    /// Where: `acme-corp/platform-team`.
    pub path: WorkspacePath,
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// The name that people read.
    pub display_name: DisplayName,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
}

/// A new workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Its slug.
    pub slug: Slug,
    /// The name that people read; the slug where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

/// An environment of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// Its id.
    pub id: Id,
    /// Where: `acme-corp/platform-team/prod`.
    pub path: EnvironmentPath,
    /// Its entity tag, without the quotes.
    pub etag: String,
    /// The name that people read.
    pub display_name: DisplayName,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
}

/// A new environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEnvironment {
    /// Its slug.
    pub slug: Slug,
    /// The name that people read; the slug where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

/// All that can be changed of a workspace or an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The name that people read.
    pub display_name: DisplayName,
}

/// One label of a domain name, in lower case: `acme` of `acme.mcpg.dev`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subdomain(String);

/// A domain name in lower case, of two labels or more: `acme.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// The URL of an issuer: `https://login.acme.com/realms/acme`, with no user, query or fragment in it. `http` is for providers on the same
/// machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IssuerUrl(String);

impl FromStr for IssuerUrl {
    type Err = IssuerUrlError;

    fn from_str(text: &str) -> Result<Self, IssuerUrlError> {
        let rest =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(IssuerUrlError)?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "1"));
        let is_port = port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port);
        let is_path = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
        let fits =
            text.len() <= 512 && host.split('.').all(is_label) && host.len() <= 253 && is_port && is_path;
        if fits { Ok(Self(text.to_owned())) } else { Err(IssuerUrlError) }
    }
}

impl FromStr for Subdomain {
    type Err = SubdomainError;

    fn from_str(text: &str) -> Result<Self, SubdomainError> {
        // What `xn--` looks like is not what it is.
        let plain = text.as_bytes().get(2..4) != Some(b"--".as_slice());
        if is_label(text) && plain { Ok(Self(text.to_owned())) } else { Err(SubdomainError) }
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let fits = text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
        if fits { Ok(Self(text.to_owned())) } else { Err(DomainError) }
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

crate::text::text_access!(IssuerUrl);
crate::text::wire_text!(
    IssuerUrl,
    IssuerUrlError,
    r"^https?://[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,2}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~/-]{0,200})?$",
    8,
    512,
    "https://login.acme.com"
);
crate::text::text_access!(Subdomain);
crate::text::text_access!(Domain);
crate::text::wire_text!(
    Subdomain,
    SubdomainError,
    r"^([a-z0-9]|[a-z0-9]{2}|[a-z0-9][a-z0-9-][a-z0-9]([a-z0-9-]{0,59}[a-z0-9])?|[a-z0-9]{2}-[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?)$",
    1,
    63,
    "acme"
);
crate::text::wire_text!(
    Domain,
    DomainError,
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$",
    3,
    253,
    "acme.com"
);

/// A text that is no issuer's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an issuer is a URL such as `https://login.acme.com`, without user, query and fragment")]
pub struct IssuerUrlError;

/// A text that is no subdomain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a subdomain is one label of 1 to 63 `a-z`, `0-9` and `-` between them, without `--` in the third and fourth place"
)]
pub struct SubdomainError;

/// A text that is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a domain is a name in lower case of two labels or more, such as `acme.com`")]
pub struct DomainError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_plain_urls() {
        for (text, fits) in [
            ("https://login.acme.com", true),
            ("https://login.acme.com/realms/acme", true),
            ("http://127.0.0.1:9999", true),
            ("https://login.acme.com:0", false),
            ("https://u@login.acme.com", false),
            ("https://login.acme.com?a", false),
            ("https://login.acme.com#a", false),
            ("ftp://login.acme.com", false),
            ("https://", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<IssuerUrl>().is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn labels_and_domains_are_plain() {
        for (text, label, domain) in [
            ("acme", true, false),
            ("a", true, false),
            ("acme.com", false, true),
            ("a.b.c", false, true),
            ("xn--acme", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("Acme.com", false, false),
            ("acme.com.", false, false),
            (".com", false, false),
            ("", false, false),
        ] {
            assert_eq!(text.parse::<Subdomain>().is_ok(), label, "{text}");
            assert_eq!(text.parse::<Domain>().is_ok(), domain, "{text}");
        }
    }
}
