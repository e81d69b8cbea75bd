#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

fn names(names: &[&str]) -> Vec<DominoName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn directory(all: &[&str], active: &[&str]) -> DominoDirectory {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    DominoDirectory { all: set(all), active: set(active) }
}

fn many(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{prefix}-{at:03}")).collect()
}

/// Bindings `a-...` of active accounts and `d-...` of deactivated ones.
fn fleet(active: usize, deactivated: usize) -> (Vec<DominoName>, DominoDirectory) {
    let (active, deactivated) = (many("a", active), many("d", deactivated));
    let all: BTreeSet<String> = active.iter().chain(&deactivated).cloned().collect();
    let bound = all.iter().map(|name| name.parse().unwrap()).collect();
    (bound, DominoDirectory { all, active: active.into_iter().collect() })
}

#[test]
fn bound_accounts_are_told_apart_by_what_domino_says_of_them() {
    let directory = directory(&["svc-a", "svc-b", "svc-free"], &["svc-a", "svc-free", "svc.new"]);
    let bound = names(&["svc-b", "svc-a", "jo.meier"]);
    let found = compare(&bound, &directory, Ceilings::default());
    let expected = Comparison {
        bound: 3,
        gone: names(&["jo.meier"]),
        deactivated: names(&["svc-b"]),
        unassigned: vec!["svc-free".to_owned(), "svc.new".to_owned()],
        doubt: None,
    };
    assert_eq!(found, expected);
    assert_eq!(found.to_unbind(), names(&["svc-b"]));
}

#[test]
fn an_account_that_domino_does_not_know_is_never_unbound() {
    let found =
        compare(&names(&["svc-a", "svc-b"]), &directory(&["x"], &["x"]), Ceilings::default());
    assert_eq!((found.gone.len(), found.to_unbind().len(), found.doubt), (2, 0, None));
}

#[test]
fn a_name_that_was_made_again_is_active() {
    // Domino lists the deactivated one and the active one by the same name.
    let found =
        compare(&names(&["svc-a"]), &directory(&["svc-a"], &["svc-a"]), Ceilings::default());
    assert!(found.deactivated.is_empty() && found.gone.is_empty());
}

#[test]
fn lists_that_hold_either_kind_alone_say_the_same() {
    // Whether the list with deactivated accounts has the active ones too is not documented.
    let bound = names(&["a", "b", "c"]);
    let both = compare(&bound, &directory(&["a", "b", "c"], &["a", "b"]), Ceilings::default());
    let alone = compare(&bound, &directory(&["c"], &["a", "b"]), Ceilings::default());
    assert_eq!(both, alone);
    assert_eq!(both.to_unbind(), names(&["c"]));
}

#[test]
fn an_empty_answer_unbinds_nobody_and_says_where_to_look() {
    let bound = names(&["svc-a"]);
    let found = compare(&bound, &directory(&[], &[]), Ceilings::default());
    assert_eq!((found.doubt.clone(), found.to_unbind().len()), (Some(DirectoryDoubt::Empty), 0));
    assert!(found.doubt.unwrap().to_string().contains("DOMINO_URL"));
    let found = compare(&bound, &directory(&["svc-a"], &[]), Ceilings::default());
    assert_eq!(found.doubt, Some(DirectoryDoubt::NobodyActive { listed: 1 }));
    assert_eq!((found.deactivated.len(), found.to_unbind().len()), (1, 0));
    // Nobody is bound: nothing to doubt about.
    assert_eq!(compare(&[], &directory(&[], &[]), Ceilings::default()).doubt, None);
}

#[test]
fn above_a_ceiling_nobody_is_unbound_not_even_the_first_few() {
    let ceilings = Ceilings::default();
    for (active, deactivated, limit) in [
        (90, 10, None),
        (90, 11, Some(10)),
        (8, 2, None),
        (7, 3, Some(2)),
        (1, 1, None),
        (1, 2, Some(1)),
    ] {
        let (bound, directory) = fleet(active, deactivated);
        let found = compare(&bound, &directory, ceilings);
        let expected =
            limit.map(|limit| DirectoryDoubt::TooMany { deactivated, bound: bound.len(), limit });
        assert_eq!(found.doubt, expected, "{active} active");
        let unbound = if limit.is_some() { 0 } else { deactivated };
        assert_eq!(found.to_unbind().len(), unbound);
        assert_eq!(found.deactivated.len(), deactivated, "they are told all the same");
    }
    let doubt = DirectoryDoubt::TooMany { deactivated: 3, bound: 10, limit: 2 }.to_string();
    assert!(doubt.contains("DOMINO_UNBIND_PERCENT") && doubt.contains("none of them"), "{doubt}");
}

#[test]
fn who_was_unbound_is_not_found_again() {
    let (mut bound, directory) = fleet(9, 1);
    let found = compare(&bound, &directory, Ceilings::default());
    bound.retain(|name| !found.to_unbind().contains(name));
    let again = compare(&bound, &directory, Ceilings::default());
    assert!(again.to_unbind().is_empty() && again.deactivated.is_empty());
}
