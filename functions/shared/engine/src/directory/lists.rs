//! Domino's lists, part by part, until they are complete.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::directory::DominoDirectory;

use crate::error::Error;
use crate::ports::{Clock, DominoQuery, DominoReader};
use crate::settings::Settings;

/// Accounts of one part. What Domino takes is not documented.
const PART: usize = 100;

/// Most parts of one list: fifty thousand accounts.
const MOST_PARTS: usize = 500;

/// Asks Domino, while there is time.
pub(super) struct Asking<'a> {
    pub(super) reader: &'a dyn DominoReader,
    pub(super) clock: &'a dyn Clock,
    pub(super) settings: &'a Settings,
    pub(super) deadline: Timestamp,
}

impl Asking<'_> {
    pub(super) async fn directory(&self) -> Result<DominoDirectory, Error> {
        // In this order: who is deactivated between the two is in both, and waits for the next look.
        let active = self.active().await?;
        let all = self.list(true).await?;
        Ok(DominoDirectory { all, active })
    }

    pub(super) async fn active(&self) -> Result<BTreeSet<String>, Error> {
        self.list(false).await
    }

    /// The user names of a whole list. One that is not complete is an error: who is missing from it
    /// would be taken for gone.
    async fn list(&self, include_deactivated: bool) -> Result<BTreeSet<String>, Error> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        let mut offset = 0;
        for _ in 0..MOST_PARTS {
            if self.settings.deadline_reached(self.clock.now(), self.deadline) {
                return Err(format!(
                    "the time was over after {} of Domino's service accounts; raise the function's time-out",
                    found.len()
                ).into());
            }
            let query = DominoQuery { include_deactivated, offset, limit: PART };
            let part = self.reader.service_accounts(query).await?;
            let count = part.accounts.len();
            let before = found.len();
            found.extend(part.accounts.into_iter().map(|account| (account.id, account.username)));
            offset += count;
            let most = part.limit.filter(|limit| *limit > 0).map_or(PART, |limit| limit.min(PART));
            let ends = count < most || part.total == Some(found.len());
            if ends {
                return match part.total {
                    Some(total) if total > found.len() => Err(format!(
                        "Domino says that it has {total} service accounts and listed {}; the list may have changed meanwhile: the next look tells",
                        found.len()
                    ).into()),
                    _ => Ok(found.into_values().collect()),
                };
            }
            if found.len() == before {
                return Err(format!(
                    "Domino's list of service accounts does not go on behind the first {before}: it answers with the same ones again"
                ).into());
            }
        }
        Err(format!("Domino's list of service accounts has no end: {} were read", found.len())
            .into())
    }
}
