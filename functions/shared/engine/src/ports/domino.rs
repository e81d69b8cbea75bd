//! What Domino tells of its service accounts.

use async_trait::async_trait;

use super::PortError;

/// A service account of Domino, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DominoAccount {
    /// Domino's own id of it. A name may be in a list twice, an id may not.
    pub id: String,
    /// Its user name, which events call `serviceAccount`.
    pub username: String,
    /// Its address, if it has one.
    pub email: Option<String>,
}

/// Which part of which list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DominoQuery {
    /// Whether deactivated ones are meant too.
    pub include_deactivated: bool,
    /// How many accounts are before this part.
    pub offset: usize,
    /// Most accounts of this part.
    pub limit: usize,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DominoPage {
    /// The accounts.
    pub accounts: Vec<DominoAccount>,
    /// Most accounts that Domino puts into a part, if it says so: perhaps fewer than were asked for.
    pub limit: Option<usize>,
    /// How many accounts the whole list has, if Domino says so.
    pub total: Option<usize>,
}

/// Reads Domino's service accounts.
#[async_trait(?Send)]
pub trait DominoReader {
    /// A part of the list of service accounts.
    ///
    /// # Errors
    /// `Passing`, `Denied`, `NotFound`, and `Invalid` for an answer that is no such list.
    async fn service_accounts(&self, query: DominoQuery) -> Result<DominoPage, PortError>;
}
