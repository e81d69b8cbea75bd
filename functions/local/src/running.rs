//! What a running `serve` leaves for `invoke` and kubectl: each in a folder of its own, which only the user may
//! read and which goes with it.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

const ENDPOINT: &str = "endpoint";
const KUBECONFIG: &str = "kubeconfig";
const PREFIX: &str = "serve-";

/// Where the folders are: a place that belongs to the user alone, not one where anybody may put files.
///
/// # Errors
/// Where the environment names no such place.
pub(crate) fn place() -> io::Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = variable("XDG_RUNTIME_DIR")
        .or_else(|| variable("XDG_CACHE_HOME"))
        .or_else(|| variable("LOCALAPPDATA"))
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")));
    let base = base.ok_or_else(|| io::Error::other("neither XDG_RUNTIME_DIR nor HOME is set"))?;
    Ok(base.join("domino-pod-identity"))
}

/// The folder of one `serve`.
#[derive(Debug)]
pub(crate) struct Running {
    folder: TempDir,
}

impl Running {
    /// Makes the folder below `place`, with the address and the kubeconfig.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub(crate) fn leave(place: &Path, endpoint: &str, kubeconfig: &str) -> io::Result<Self> {
        fs::create_dir_all(place)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o700));
        }
        let folder = builder.tempdir_in(place)?;
        fs::write(folder.path().join(KUBECONFIG), kubeconfig)?;
        fs::write(folder.path().join(ENDPOINT), endpoint)?;
        Ok(Self { folder })
    }

    /// Where kubectl finds how to reach the cluster.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join(KUBECONFIG)
    }
}

/// What a `serve` left that may still run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Its address.
    pub(crate) endpoint: String,
    folder: PathBuf,
}

impl Left {
    /// Takes away what one that was killed left behind.
    pub(crate) fn forget(self) {
        let _ = fs::remove_dir_all(self.folder);
    }
}

/// What those that run have left, the one that was started last first.
pub(crate) fn all(place: &Path) -> Vec<Left> {
    let Ok(entries) = fs::read_dir(place) else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path()).filter(|folder| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PREFIX))
    });
    let mut found: Vec<(SystemTime, Left)> = folders
        .filter_map(|folder| {
            let file = folder.join(ENDPOINT);
            let at = fs::metadata(&file).and_then(|file| file.modified()).ok()?;
            let endpoint = fs::read_to_string(file).ok()?;
            Some((at, Left { endpoint, folder }))
        })
        .collect();
    found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    found.into_iter().map(|(_, left)| left).collect()
}
