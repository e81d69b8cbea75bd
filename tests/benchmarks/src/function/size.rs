//! How large a binary is, and how large in a zip file.

use std::fs;
use std::path::Path;

use crate::Failure;

/// As `zip -9` compresses.
const LEVEL: u8 = 9;

/// Local header, central header and end record of a zip file, and `bootstrap` twice.
const AROUND: usize = 30 + 46 + 22 + 2 * "bootstrap".len();

/// Sizes in megabytes of 10^6 bytes.
pub(crate) struct Size {
    pub(crate) binary_mb: f64,
    pub(crate) zip_mb: f64,
}

pub(crate) fn of(path: &Path) -> Result<Size, Failure> {
    let bytes = fs::read(path)?;
    let zipped = miniz_oxide::deflate::compress_to_vec(&bytes, LEVEL).len() + AROUND;
    #[allow(clippy::cast_precision_loss)]
    let mb = |bytes: usize| bytes as f64 / 1e6;
    Ok(Size { binary_mb: mb(bytes.len()), zip_mb: mb(zipped) })
}
