#![allow(clippy::unwrap_used)]

use super::*;

fn endpoints(place: &Path) -> Vec<String> {
    all(place).into_iter().map(|left| left.endpoint).collect()
}

#[test]
fn two_have_folders_of_their_own_and_the_end_of_one_takes_nothing_from_the_other() {
    let place = TempDir::new().unwrap();
    let first = Running::leave(place.path(), "http://127.0.0.1:1", "of the first").unwrap();
    let second = Running::leave(place.path(), "http://127.0.0.1:2", "of the second").unwrap();
    assert_eq!(fs::read_to_string(first.kubeconfig()).unwrap(), "of the first");
    assert_eq!(fs::read_to_string(second.kubeconfig()).unwrap(), "of the second");
    assert_eq!(endpoints(place.path()).len(), 2);
    let gone = second.kubeconfig();
    drop(second);
    assert!(!gone.exists());
    assert_eq!(endpoints(place.path()), ["http://127.0.0.1:1"]);
    assert_eq!(fs::read_to_string(first.kubeconfig()).unwrap(), "of the first");
}

#[test]
fn the_one_that_was_started_last_is_found_first() {
    let place = TempDir::new().unwrap();
    let first = Running::leave(place.path(), "http://127.0.0.1:1", "").unwrap();
    let _second = Running::leave(place.path(), "http://127.0.0.1:2", "").unwrap();
    let of_first =
        fs::File::options().write(true).open(first.folder.path().join(ENDPOINT)).unwrap();
    of_first.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(endpoints(place.path()), ["http://127.0.0.1:2", "http://127.0.0.1:1"]);
}

#[test]
fn what_one_that_was_killed_left_is_taken_away() {
    let place = TempDir::new().unwrap();
    let killed = Running::leave(place.path(), "http://127.0.0.1:1", "").unwrap();
    let left = all(place.path()).remove(0);
    left.forget();
    assert!(!killed.kubeconfig().exists() && endpoints(place.path()).is_empty());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_look_into_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = TempDir::new().unwrap();
    let running = Running::leave(place.path(), "http://127.0.0.1:1", "a token").unwrap();
    let mode = fs::metadata(running.folder.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
