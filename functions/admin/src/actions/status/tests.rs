use super::*;

#[test]
fn the_runbook_explains_every_state() {
    let runbook = include_str!("../../../../../docs/runbook.md");
    let states = [
        None,
        Some(ConditionState::Pending),
        Some(ConditionState::Waiting),
        Some(ConditionState::Ready),
        Some(ConditionState::Removed),
        Some(ConditionState::Blocked),
    ];
    for state in states {
        let word = word(state);
        assert!(runbook.contains(&format!("\n| `{word}` | ")), "{word}");
    }
}
