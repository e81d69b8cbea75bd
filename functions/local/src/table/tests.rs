use super::*;

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), String::new()]];
    assert_eq!(table(["name", "n"], &rows), "  name    n\n  a       1\n  longer\n");
}

#[test]
fn empty_table_says_so() {
    assert_eq!(table(["name"], &[]), "  name\n  (none)\n");
}
