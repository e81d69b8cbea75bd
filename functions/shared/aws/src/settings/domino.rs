//! Configuration of Domino as a source, of the reconcile function alone; it is off without
//! `DOMINO_URL`.
//!
//! | variable | default | rule |
//! |---|---|---|
//! | `DOMINO_URL` | none | https URL of Domino, which is then asked for its service accounts; http for this machine only |
//! | `DOMINO_TOKEN_SECRET` | | with `DOMINO_URL`: name or ARN of the secret with an administrator's key |
//! | `DOMINO_TOKEN_HEADER` | `X-Domino-Api-Key` | or `Authorization`, for a bearer token |
//! | `DOMINO_UNBIND` | `report` | `report` or `unbind`: whether schedules unbind who is deactivated in Domino |
//! | `DOMINO_UNBIND_MAX` | 10 | 1 to 10000 that are unbound at once; above it none is |
//! | `DOMINO_UNBIND_PERCENT` | 20 | 1 to 100, of all bindings, as above |

use std::fmt;
use std::net::IpAddr;

use pod_identity_core::directory::Ceilings;
use pod_identity_engine::DominoSource;
use pod_identity_engine::ports::DominoReader;

use super::SettingsError;
use super::read::Variables;

/// How Domino is asked for its service accounts, and what may come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DominoSettings {
    /// Where Domino is: a URL without a slash at its end.
    pub url: String,
    /// Name or ARN of the secret that holds the key of an administrator.
    pub secret: String,
    /// The header that takes the key.
    pub header: TokenHeader,
    /// Whether schedules unbind what is deactivated, and do not only report it.
    pub unbinds: bool,
    /// How many are unbound at most.
    pub ceilings: Ceilings,
}

/// The header that takes the key. Domino knows two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenHeader {
    /// `X-Domino-Api-Key: KEY`, for an API key.
    ApiKey,
    /// `Authorization: Bearer TOKEN`, for a token of a service account.
    Bearer,
}

impl fmt::Display for TokenHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey => "X-Domino-Api-Key",
            Self::Bearer => "Authorization",
        })
    }
}

impl DominoSettings {
    /// Reads the environment; none when Domino is not to be asked.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_env() -> Result<Option<Self>, SettingsError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty variable counts as absent.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        let mut vars = Variables { get, problems: Vec::new() };
        let domino = vars.domino();
        if vars.problems.is_empty() {
            Ok(domino)
        } else {
            Err(SettingsError { problems: vars.problems })
        }
    }

    /// Domino as a source, over something that asks it.
    #[must_use]
    pub fn source<'a>(&self, reader: &'a dyn DominoReader) -> DominoSource<'a> {
        DominoSource { reader, unbinds: self.unbinds, ceilings: self.ceilings }
    }
}

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    /// Domino as a source; none when it is not to be asked.
    fn domino(&mut self) -> Option<DominoSettings> {
        let given = self.value("DOMINO_URL")?;
        let url = base_url(&given);
        if url.is_none() {
            // What stands before an `@` may be a password.
            let shown = given.rsplit_once('@').map(|(_, host)| format!("...@{host}"));
            self.problem(
                "DOMINO_URL",
                "an https URL without user, query and fragment, such as `https://domino.example.com`; http is taken for this machine only",
                Some(shown.as_deref().unwrap_or(&given)),
            );
        }
        let secret = self.required(
            "DOMINO_TOKEN_SECRET",
            "the name or ARN of a secret of Secrets Manager, 1 to 512 letters, digits and `/_+=.@-`, since DOMINO_URL is set",
            is_secret,
        );
        let header = self.choice(
            "DOMINO_TOKEN_HEADER",
            &[("X-Domino-Api-Key", TokenHeader::ApiKey), ("Authorization", TokenHeader::Bearer)],
        );
        let unbinds = self.choice("DOMINO_UNBIND", &[("report", false), ("unbind", true)]);
        let Ceilings { most, percent } = Ceilings::default();
        let most = self.number("DOMINO_UNBIND_MAX", u32::try_from(most).unwrap_or(10), 1..=10_000);
        let share = self.number("DOMINO_UNBIND_PERCENT", percent.into(), 1..=100);
        let ceilings = Ceilings {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            percent: u8::try_from(share).unwrap_or(percent),
        };
        Some(DominoSettings { url: url?, secret, header, unbinds, ceilings })
    }
}

/// The URL without slashes at its end, if it is one that a key may be sent to.
fn base_url(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |text: &str, more: &[u8]| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let _: std::net::Ipv6Addr = host.parse().ok()?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("443"))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "443")),
    };
    let _: u16 = port.parse().ok()?;
    let is_host =
        !host.is_empty() && plain(host, if authority.starts_with('[') { b":." } else { b".-" });
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_safe = scheme == "https" || (scheme == "http" && is_here);
    (is_safe && is_host && plain(path, b"/-._~")).then(|| text.to_owned())
}

fn is_secret(text: &str) -> bool {
    let is_name =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+=.@-:".contains(&b));
    text.len() <= 512 && is_name(text) && (text.starts_with("arn:") || !text.contains(':'))
}
