//! One account that was asked for by two associations, or one association for two accounts.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::Candidate;
use crate::lists::some;

/// One Domino service account has one binding, and one association goes to one of them.
pub(super) fn refuse_doubles(candidates: &mut [Candidate]) {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_place: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in candidates.iter().filter(|one| one.is_meant()) {
        *by_name.entry(&one.name).or_default() += 1;
        by_place.entry(&one.place).or_default().push(&one.name);
    }
    let names: BTreeSet<String> = by_name
        .iter()
        .filter(|(_, count)| **count > 1)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let places: BTreeMap<String, String> = by_place
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(place, names)| (place.to_owned(), doubled(place, &names)))
        .collect();
    for one in candidates.iter_mut().filter(|one| one.is_meant()) {
        if let Some(why) = places.get(&one.place) {
            one.refuse(why.clone());
        } else if names.contains(&one.name) {
            one.refuse(format!(
                "several associations would be bound as {}, and a service account has one binding on a cluster; name each in `associations`",
                one.name
            ));
        }
    }
}

/// Why nobody takes over what is named for several, or several times.
fn doubled(place: &str, names: &[&str]) -> String {
    match names.iter().all(|name| Some(name) == names.first()) {
        true => format!(
            "the association of {place} is named {} times for {}; name it once",
            names.len(),
            names.first().copied().unwrap_or_default()
        ),
        false => format!(
            "the association of {place} would go to {}, and one service account has it; name it once",
            some(names.iter().copied(), 3)
        ),
    }
}
