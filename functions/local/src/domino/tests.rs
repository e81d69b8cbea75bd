#![allow(clippy::unwrap_used)]

use super::*;

/// Status and names of what is answered to a query with a header.
fn ask(state: &DominoState, query: &str, header: (&str, &str)) -> (u16, Vec<String>) {
    let request = Request::get(format!("{PATH}?{query}")).header(header.0, header.1);
    let status = state.answer(&request.body(()).unwrap()).status().as_u16();
    let list = state.list(query).unwrap_or_default();
    let names = list["serviceAccounts"].as_array().into_iter().flatten();
    (status, names.map(|one| one["username"].as_str().unwrap().to_owned()).collect())
}

fn state() -> DominoState {
    let accounts = [("a", true), ("b", false), ("c", true)];
    let accounts = accounts.map(|(name, is_active)| (name.to_owned(), is_active)).into();
    DominoState { accounts, key: "KEY".to_owned(), most: 2, is_down: false }
}

#[test]
fn a_list_has_the_active_accounts_and_the_others_on_request_part_by_part() {
    let key = ("X-Domino-Api-Key", "KEY");
    for (query, names) in [
        ("", vec!["a", "c"]),
        ("includeDeactivated=true&limit=100", vec!["a", "b"]),
        ("includeDeactivated=true&offset=2&limit=100", vec!["c"]),
        ("includeDeactivated=false&limit=1&offset=1", vec!["c"]),
    ] {
        let names = names.into_iter().map(str::to_owned).collect();
        assert_eq!(ask(&state(), query, key), (200, names), "{query}");
    }
    assert_eq!(ask(&state(), "limit=many", key).0, 400);
}

#[test]
fn nobody_is_answered_without_the_key_in_one_of_its_two_headers() {
    for (name, value, status) in [
        ("X-Domino-Api-Key", "KEY", 200),
        ("Authorization", "Bearer KEY", 200),
        ("X-Domino-Api-Key", "other", 401),
        ("Authorization", "KEY", 401),
        ("Accept", "KEY", 401),
    ] {
        assert_eq!(ask(&state(), "", (name, value)).0, status, "{name}: {value}");
    }
}
