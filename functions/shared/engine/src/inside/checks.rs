//! What a cluster needs for Pod Identity, and for looking inside it.

use super::Inside;
use crate::ledger::Missing;
use crate::ports::{ClusterReader, PortError};

/// What the cluster lacks.
pub(super) async fn look<A: ClusterReader, K, C>(
    _context: &Inside<'_, A, K, C>,
) -> Result<Vec<Missing>, PortError> {
    Ok(Vec::new())
}
