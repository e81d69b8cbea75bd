use super::*;

#[test]
fn a_star_stands_for_any_text_and_everything_else_for_itself() {
    for (pattern, text, matches) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "any/thing", true),
        ("a*c", "ac", true),
        ("a*c", "abbbc", true),
        ("a*c", "abcd", false),
        ("a*b*c", "aXbYbZc", true),
        ("**a**", "a", true),
        ("a?c", "abc", false),
        ("a?c", "a?c", true),
        ("abc", "ABC", false),
        ("*-eks-nodes", "arn:x/blue-eks-nodes", true),
        ("role/domino/*", "role/dominox/a", false),
    ] {
        assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
    }
}

#[test]
fn a_question_mark_stands_for_one_character_only_where_iam_says_so() {
    assert!(glob(b"blu?", b"blue", b'?'));
    assert!(!glob(b"blu?", b"blu", b'?'));
    assert!(!glob(b"blu?", b"blue", b'\0'));
}

#[test]
fn many_stars_over_a_long_text_end_soon() {
    let pattern = "a*".repeat(50) + "b";
    assert!(!Pattern::new(pattern).matches(&"a".repeat(5_000)));
}
