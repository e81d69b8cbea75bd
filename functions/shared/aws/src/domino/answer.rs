//! What Domino answers, and what stands in the way of an answer.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::byte_stream::ByteStream;
use pod_identity_engine::ports::{DominoAccount, DominoPage, ErrorKind};
use serde::Deserialize;

/// Most bytes of an answer; a hundred service accounts take about fifteen thousand.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Why one attempt came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it answered {0}{hint}", hint = hint(*.0))]
    Status(u16),
    #[error(
        "its answer is no list of service accounts; check that DOMINO_URL leads to Domino itself, and not to a page or a proxy before it: {0}"
    )]
    Answer(String),
    #[error("its answer is longer than {MOST_BYTES} bytes")]
    TooLong,
    #[error("its answer broke off: {0}")]
    BrokenOff(#[source] aws_smithy_types::byte_stream::error::Error),
    #[error("no connection, or none that answers")]
    NoConnection(#[source] ConnectorError),
    #[error("no answer within {0} ms (CALL_TIMEOUT_MS)")]
    Late(u128),
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => ", which leads elsewhere; set DOMINO_URL to where Domino itself is",
        401 => {
            "; it does not take the key, which was read again: renew it in the secret, or see DOMINO_TOKEN_HEADER"
        }
        403 => "; the key must be an administrator's",
        404 => "; check DOMINO_URL, and that this Domino has service accounts",
        _ => "",
    }
}

impl Failure {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Status(401 | 403) => ErrorKind::Denied,
            Self::Status(404) => ErrorKind::NotFound,
            Self::Status(408 | 425 | 429 | 500..) => ErrorKind::Passing,
            Self::Status(_) | Self::Answer(_) | Self::TooLong => ErrorKind::Invalid,
            Self::BrokenOff(_) | Self::NoConnection(_) | Self::Late(_) => ErrorKind::Passing,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedAccounts {
    #[serde(default)]
    metadata: PageMetadata,
    service_accounts: Vec<Account>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMetadata {
    limit: Option<usize>,
    total_count: Option<usize>,
}

#[derive(Deserialize)]
struct Account {
    id: String,
    username: String,
    email: Option<String>,
}

/// Reads an answer.
pub(super) async fn read(answer: HttpResponse) -> Result<DominoPage, Failure> {
    let status = answer.status();
    if !status.is_success() {
        // What it says beside is not repeated: whatever answers there may send the request back.
        return Err(Failure::Status(status.as_u16()));
    }
    let mut body = ByteStream::new(answer.into_body());
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.map_err(Failure::BrokenOff)?);
        if bytes.len() > MOST_BYTES {
            return Err(Failure::TooLong);
        }
    }
    let listed: ListedAccounts =
        serde_json::from_slice(&bytes).map_err(|error| Failure::Answer(error.to_string()))?;
    let account = |Account { id, username, email }| DominoAccount { id, username, email };
    Ok(DominoPage {
        accounts: listed.service_accounts.into_iter().map(account).collect(),
        limit: listed.metadata.limit,
        total: listed.metadata.total_count,
    })
}
